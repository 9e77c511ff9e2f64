// Package sock is a host with sockets: Linux's socket calls over one TCP core, for programs that play the part of an operating system.
// It is small, not fast: its callers are the player of packet scripts, in virtual time, and the adapter to packetdrill, in real time.
//
// Nothing here blocks, reads a clock or starts a goroutine. A call that would have to wait returns EAGAIN, or EINPROGRESS; the
// caller tries it again after something has happened. Time is what SetTime was last told. What is sent goes to Host.Sent.
package sock
