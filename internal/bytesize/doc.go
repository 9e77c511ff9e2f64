// Package bytesize reads and writes numbers of bytes as people do, with decimal or binary units.
package bytesize
