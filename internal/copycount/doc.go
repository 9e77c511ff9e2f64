// Package copycount counts how often the kernel copies a frame between an AF_XDP socket's memory and its own: the evidence that
// frames pass without a copy where none is counted. It also counts the checksums that the kernel computes instead of a device. It
// has a BPF program count the calls of the kernel functions that do it.
package copycount
