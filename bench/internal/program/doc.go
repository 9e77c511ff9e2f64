// Package program runs load generators that are programs of their own (wrk, ab, iperf3) as clients of the benchmarks, and takes their
// results from what they print.
//
// Such a program has no window: it is measured from its start to its end, and its processor time is what the kernel says when it has
// ended. What it does to begin with, which is milliseconds, is in it.
package program
