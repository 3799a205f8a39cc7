//! The binary: hands over to `cli` and turns what comes back into an exit code.

/// A plan is many small allocations on all cores; with this one it takes a fifth less of them than with glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    ovenbird::cli::main()
}
