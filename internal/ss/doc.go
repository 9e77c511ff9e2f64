// Package ss is what the command ss knows of sockets, for the connections of a stack: a language that chooses some of them ([Parse]), what
// is shown of each ([Entry]), and the two ends of the control socket in between ([Serve], [Ask]).
//
//	xdpstack ss ──► Query ──► GET /connections?… ──► Serve ──► stack.Connections, a few in a turn of a shard
//	               Entry ◄── a line of JSON each ◄──────┘  Filter on the shard, Top in the server
//
// What does not match never leaves the shard. The answer is a stream of lines, the last of which says that it is the last, so that neither
// end needs memory for all of it.
//
// # The language
//
// It is that of ss(8), without what only the kernel's sockets have, and with more to compare:
//
//	filter    = { "state" STATE | "exclude" STATE } [ expr ]
//	expr      = and { ( "or" | "|" | "||" ) and }
//	and       = not { [ "and" | "&" | "&&" ] not }
//	not       = [ "not" | "!" ] ( "(" expr ")" | condition )
//	condition = ( "src" | "dst" ) [ "=" | "==" | "!=" ] [ ADDRESS [ "/" LENGTH ] ] [ ":" PORT ]
//	          | ( "sport" | "dport" | NUMBER ) ( "=" | "==" | "!=" | ">" | ">=" | "<" | "<=" ) VALUE
//
// Ports may have a colon in front, and be names where the asker knows them. The numbers are those of [Numbers].
package ss
