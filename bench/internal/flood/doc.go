// Package flood is a client that opens connections at a constant rate, whatever the answers do, and times each: what a visitor sees of a
// server that is flooded with SYNs meanwhile.
package flood
