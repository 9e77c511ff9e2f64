// Package child runs parts of a benchmark as processes of their own: the same executable, started again. So each has its own
// garbage collector, its own processor and its own CPU clock.
//
//	parent                                child
//	Start ──── stdin, held open ────────► ends when it is closed: also when the parent is killed
//	Next  ◄─── stdout, a JSON Event a line
//
// A child ignores SIGINT, which a terminal sends to the whole group: the parent decides what ends when.
package child
