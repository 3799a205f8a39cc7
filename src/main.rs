//! The binary: hands over to `cli` and turns what comes back into an exit code.

fn main() -> std::process::ExitCode {
    ovenbird::cli::main()
}
