// Package scale measures what very many connections cost: the memory that they take while they are idle, in a stack in memory and in the
// kernel; how much slower segments are that come to any of them; and what both ends of them take, in one process, over a pipe in memory or
// over AF_XDP, while there is a little traffic on each.
package scale
