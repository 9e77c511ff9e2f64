// Package impair decides what a bad path does to packets: which are lost, late, overtaken, doubled or damaged, and when each
// arrives. It moves no packet itself and reads no clock, so the simulator and the forwarder on real interfaces decide alike:
//
//	            ┌─────────────────────────────── Direction ───────────────────────────────┐
//	packet, now │ bad times, loss │ rate: queue, marks, tail drop │ delay, jitter │ held │ Fate: how many copies, when,
//	───────────►│  ✗              │        CE     ✗               │               │ back ├──────► marked, which bit is wrong
//	            └─────────────────────────────────────────────────────────────────────────┘
//
// All that is random comes from the Direction's seed and the number of packets before, never from their content: the n-th packet meets
// the same luck in every run.
package impair
