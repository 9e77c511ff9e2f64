// Package filter keeps the filter of a running stack (the rules and rates of bpf.Program): changes from the control socket, rules that end
// by themselves, the text form of a list, and the look at who would be cut off before a change is made.
//
//	xdpstack filter ─► control socket ─► Filter.Change ─► who would be cut off? ─► bpf.Program
//	                                                       the operator: refused without Force
//	                                                       connections of the stack: counted
//
// The XDP program is what decides about packets; this package runs when somebody changes what it decides by. A process that takes the
// program over from another one (Filter.TakeOver) finds rules and counts in it, and is told the rest.
package filter
