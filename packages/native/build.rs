//! What the compiler must be told: the names of Node's functions, the releases inside, and that the library stays loaded.

fn main() {
    napi_build::setup();
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../Cargo.lock");
    let lock = std::fs::read_to_string("../../Cargo.lock").expect("Cargo.lock of the workspace");
    for package in ["iroh", "noq"] {
        println!(
            "cargo:rustc-env=VERSION_{}={}",
            package.to_uppercase(),
            version_of(&lock, package)
        );
    }
    // Node unloads an addon when the last worker thread that loaded it ends, while our threads still run its code.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}

fn version_of(lock: &str, package: &str) -> String {
    let after = lock
        .split_once(&format!("name = \"{package}\"\nversion = \""))
        .expect("package in Cargo.lock")
        .1;
    after[..after.find('"').expect("end of the version")].to_string()
}
