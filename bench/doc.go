// Command bench runs xdpstack beside its peers, alternating, and prints one table of ratios with their spread, the processor time
// of each side and the conditions, and a second table that says which targets were met. It also writes results/bench.json,
// results/bench.svg and results/bench.html.
//
//	make bench                          everything, in under 20 minutes; as root
//	make bench ARGS="-quick"            everything, briefly: to see that it works
//	make bench ARGS="-only core,raw"    what begins with these names
//
// "bench compare BEFORE.json AFTER.json" says what changed from one report to another, beyond noise.
//
// docs/benchmarks.md says how each benchmark is done and how to read it.
//
// The program starts itself again for each measurement: "bench core", "bench scale", "bench pair", "bench serve", "bench load" and
// "bench raw" are its children, not for people.
package main
