// Package result holds what the benchmarks measured and the arithmetic on it.
//
//	Report ─► Benchmark (one kind of work) ─► Side (one stack doing it) ─► Run (one repeat)
//
// Repeats of the sides alternate, so that run i of one side and run i of another were made close together in time. A ratio is
// therefore computed pair by pair, and its spread is that of the pairs: drift of the machine cancels out.
package result
