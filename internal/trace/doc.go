// Package trace is what the command trace knows of traces: which connections are meant ([ParseTuple]), what is told of them ([Event]), as a
// line of text or in a chart ([Chart]), and the two ends of the control socket in between ([Serve], [Ask]).
//
//	xdpstack trace ──► GET /trace?tuple=… ──► Serve ──► stack.Trace, on the shards
//	         Event ◄── a line of JSON each ◄────┘
package trace
