// Package pkt plays packet scripts, in the language of packetdrill, against the TCP core in virtual time: an hour of
// the protocol takes a moment, and nothing is ever late.
//
// A script is a list of events, each with its time: segments that come from the network, segments that the stack is
// expected to send, socket calls and what they return. The scripts of this repository are in tcp/testdata/scripts,
// one behaviour each.
//
//	// Data that comes in one full segment is acknowledged after the delay.
//	--delayed_ack=40ms
//	0     socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
//	+0    bind(3, ..., ...) = 0
//	+0    listen(3, 1) = 0
//	+0    < S 0:0(0) win 65535 <mss 1460>
//	+0    > S. 0:0(0) ack 1 <mss 1460>
//	+.01  < . 1:1(0) ack 1 win 65535
//	+0    accept(3, ..., ...) = 4
//	+0    < P. 1:1001(1000) ack 1 win 65535
//	+.04  > . 1:1(0) ack 1001
//	+0    read(4, ..., 2000) = 1000
//	+0    %{ assert tcpi_state == TCP_ESTABLISHED }%
//
// # Times
//
// In seconds from the start (0.1), or from the event before (+0.1). A segment that is expected can have a range
// (+0.1~+0.2) or come any time (*). A call that blocks says from when until when (+0...0.2, both from the event
// before); the script goes on meanwhile. A segment may be off by --tolerance_usecs, 1000 by default. Timers run in
// between, at their times.
//
// # Segments
//
// < injects, > expects. Flags are letters of S F R P . (ACK) U E (ECE) W (CWR), or - for none; numbers are
// seq:end(length), then ack N, win N (as in the header, not scaled) and urg N. Numbers are relative: the script's
// numbers of the peer begin at --irs on the wire, those of the stack at its initial number, which is learned from its
// SYN. Unless told otherwise both wrap soon. Payload is a pattern of its place in the stream, checked in what is sent
// and in what is read.
//
// Options are mss N, sackOK, wscale N, TS val N ecr N, sack a:b c:d, FO cookie and FOEXP cookie (Fast Open, the cookie
// in hexadecimal digits or left out), nop and eol, all of them in their order and with all padding; <...> expects whatever
// there is, and no list expects none. The stack's own timestamps are whatever
// they are: a script gives them names, which it may echo. With --tcp_ts_tick_usecs=1000 their distances are checked
// too. Cookies that the stack gives have names in the same way. A window that is not given is 65535 in what is
// injected, and not checked in what is expected.
//
// In brackets before the flags is the ECN field of the IP header: [noecn], [ect0], [ect1] or [ce], and [ect01]
// expects either of two. Without it the field is 0 in what is injected, and not checked in what is expected.
//
// Every segment that is sent must be expected, in order, those before the script's end included: an event at a later
// time, such as an assertion, shows that nothing was sent until then.
//
//	< icmp unreachable frag_needed mtu 1200 [1:1461(1460)]
//	< icmp unreachable frag_needed mtu 0 [1:1461(1460)]
//
// is an ICMP error that quotes a segment; types are unreachable (with packetdrill's names of the codes, and
// no_neighbour for a next hop that does not answer ARP) and time_exceeded.
//
// # Calls
//
// socket, bind, listen, accept, connect, read, recv, recvfrom, write, send, sendto, shutdown, close, poll, fcntl
// (F_GETFL, F_SETFL), sendto with MSG_FASTOPEN, setsockopt and getsockopt for what tcp.Config and tcp.Conn have under the
// usual names, at any time. A
// blocking write returns when everything was taken. Results are a number, or -1 and the name of an error; a note in
// parentheses may follow.
//
// # Assertions
//
// %{ assert expression, message }%, as often as needed, with the names and units of Linux's tcp_info (see tcp.TCPInfo),
// constants like TCP_ESTABLISHED, and Python's operators. They are evaluated at once, for the connection that was
// opened last.
//
// # Options
//
// At the top, --name=value: tolerance_usecs, tcp_ts_tick_usecs, mtu, iss, irs, receive_budget, syn_backlog,
// syn_cookies (auto, always, never), ip_version=ipv4, and every field of tcp.Config in snake case with durations as
// in Go: --min_rto=1s, --keep_alive_idle=60s, --no_sack.
//
// # Not supported
//
// Shell commands, Python other than assert, IPv6, UDP, several connections at a time in one script, epoll, sendmsg
// and recvmsg, ioctl, expected ICMP, and malformed headers.
package pkt
