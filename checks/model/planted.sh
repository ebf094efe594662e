#!/usr/bin/env bash
# Shows that the scenarios find bugs: plants one at a time into a copy of the driver, and fails
# unless the scenario named with it does.
set -euo pipefail
cd "$(dirname "$0")/../.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -Rp Cargo.toml src crates checks "$copy"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/model}
# Every run looks at the same schedules.
export SHUTTLE_RANDOM_SEED=1 MODEL_RUNS=3000

# plant WHAT FILE SCENARIO [OLD NEW]...
plant() {
    local what=$1 file=$2 scenario=$3 text log
    shift 3
    text=$(<"crates/driver/src/$file")
    while [ $# -gt 0 ]; do
        [[ $text == *"$1"* ]] || { echo "$file has no \"$1\" any more: plant \"$what\" anew"; exit 1; }
        text=${text/"$1"/"$2"}
        shift 2
    done
    printf '%s\n' "$text" >"$copy/crates/driver/src/$file"
    log=$(cd "$copy/checks/model" && cargo test --quiet --test scenarios -- --exact "$scenario" 2>&1) || true
    if ! grep -q "^test result: FAILED" <<<"$log"; then
        echo "$log"
        echo "NOT FOUND by $scenario: $what"
        exit 1
    fi
    cp -p "crates/driver/src/$file" "$copy/crates/driver/src/$file"
    printf 'found: %s (%s)\n' "$what" \
        "$(grep -m 1 -oE 'deadlock! blocked|assertion.*|exceeded max_steps' <<<"$log" || echo panicked)"
}

plant "bytes that wait call nobody" shared.rs writing::what_two_tasks_send_is_written \
    "self.machine.can_transmit()" "false"

plant "a driver that was called once is never called again" shared.rs reading::one_task_sends_and_one_receives \
    "self.called = false;" ""

plant "who waits for room tries before it listens" sending.rs writing::who_waits_for_room_gets_it \
    "let room = self.room.get_or_insert_with(|| Room::of(shared));" "" \
    "ready!(Pin::new(&mut room.listener)" \
    "let room = self.room.get_or_insert_with(|| Room::of(shared)); ready!(Pin::new(&mut room.listener)"

plant "room is told of only by messages that leave later" shared.rs writing::who_waits_for_room_gets_it \
    "settled > known" "settled > known + 1"

plant "a recv that is given up keeps its turn" receiver.rs reading::a_receiver_that_left_hides_no_end \
    "if self.waiting {" "if false {"

plant "a write waits with nobody's waker" shared/writing.rs writing::what_two_tasks_send_is_written \
    "Context::from_waker(&self.waker)" "Context::from_waker(Waker::noop())"

plant "the wake-up of a write that is under way is lost" shared/writing.rs closing::a_drain_ends_when_all_is_written \
    "if self.writing.overtaken {" "if false {"

plant "who takes the turn for the driver does not tell it" shared/writing.rs reading::a_receiver_that_left_blocks_no_send \
    "self.wanted = true;" ""

plant "whoever waits for an outcome is not woken" history.rs writing::outcomes_are_told_to_all_who_wait \
    "woken.push(waker);" "drop(waker);"
