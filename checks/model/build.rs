fn main() {
    println!("cargo::rustc-cfg=rebelay_shuttle");
    println!("cargo::rerun-if-changed=build.rs");
}
