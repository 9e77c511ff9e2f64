// Package daemon is the life of a process that has a stack and serves something on it: xdpstack serve, for one. What is served is an [App].
//
//	open the stack ─► control socket ─► App.Start ─► drop privileges ─► "ready" ─► wait ─► drain ─► close the stack ─► App.Close
//	   open.go         endpoints.go                    privileges.go               │ ▲    stop.go
//	                                                      SIGHUP, POST /reload ────┼─┘
//	                                                              reload.go        │
//	                     the context ends, POST /stop, the App fails, or the interface is gone
//
// Each part of that has a file of its own. An App knows nothing of signals, sockets and files of the process, and the daemon nothing
// of what is served. A service manager (systemd) is told of all of it, and its watchdog is fed while every shard turns: manager.go.
package daemon
