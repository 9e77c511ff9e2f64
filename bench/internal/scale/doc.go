// Package scale measures what very many connections cost: the memory that they take while they are idle, in a stack in memory and in the
// kernel, and how much slower segments are that come to any of them.
package scale
