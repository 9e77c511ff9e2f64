// Package load drives a server of the benchmarks from the kernel's TCP. It is one thread with one epoll loop that allocates
// nothing once it runs, so that it is the last to become the bottleneck; whether it did, its CPU time tells.
package load
