// Package rss computes which receive queue a network card puts a packet on (receive side scaling), from what the card says about itself:
// the key of its hash, its indirection table, and the fields that it hashes.
//
//	remote address, local address, remote port, local port
//	        │ Toeplitz hash with the card's key
//	        ▼
//	     32 bits ── the lowest ──► indirection table ──► receive queue
//
// So the one who opens a connection can choose a local port with which the answers come to the queue that he serves. The hash is
// Microsoft's ("RSS hashing functions", Windows driver documentation), which Linux calls ETH_RSS_HASH_TOP.
package rss
