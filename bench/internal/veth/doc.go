// Package veth runs the benchmarks against the kernel's own TCP over a veth pair. Server and client are processes of their own,
// each in its namespace and each bound to a processor; for every server and repeat the laboratory is made anew, so nothing of an
// earlier run (an AF_XDP queue that the kernel still releases, connections in TIME-WAIT, a tuned congestion window) is left.
package veth
