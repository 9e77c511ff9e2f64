package bpf

// The compiled program is committed, so that building xdpstack needs no C compiler. Regenerating it on Debian 12 needs the
// packages clang-14, llvm-14, libbpf-dev and linux-libc-dev; another version of clang makes another program.
//
// clang does not look for asm/types.h where Debian keeps it when the target is BPF, hence the -I; a directory that is not there
// is ignored. bpf2go itself keeps the working directory and the compiler's name out of the output.

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel,bpfeb steer xdp_steer.c -- -mcpu=v3 -Wall -Wextra -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
