// Package http1 parses the requests of HTTP/1.0 and HTTP/1.1 (RFC 9112) for a server that runs in a shard: it works on bytes as
// they came, keeps nothing, allocates nothing, and is strict. What a lenient parser would have to guess about (bare LF, folded
// fields, blanks before a colon, two lengths) is an error here, because guesses about where a request ends are how requests are
// smuggled past other servers.
//
// [Parse] reads one request head; a caller with more bytes calls it again behind the body, whose length the head gives. [Path] turns a
// request's target into a path that is safe to look up.
package http1
