// Package http1 parses the requests of HTTP/1.0 and HTTP/1.1 (RFC 9112) for a server, and the responses for a client, that run in a shard:
// it works on bytes as they came, keeps nothing but a head of which a part is missing, allocates nothing, and is strict. What a lenient
// parser would have to guess about (bare LF, folded fields, blanks before a colon, two lengths) is an error here, because guesses about
// where a message ends are how requests are smuggled past other servers, and how a client takes one response for another.
//
// [Parse] reads one request head; a caller with more bytes calls it again behind the body, whose length the head gives. [Path] turns a
// request's target into a path that is safe to look up.
//
// A [Reader] finds the end of each response on a connection, whatever pieces it comes in and however its body is framed. A [Memo] saves
// it from parsing the same head again and again.
package http1
