// Package corpus makes malformed frames of the fuzz targets' seeds, for tests that put them on a wire.
//
//	testdata/fuzz/FuzzX/* ─► Read ─► seeds ─► Frames.Next: change some bytes, wrap in the layers below, or not ─► a frame
//
// A seed is what a target was given: an Ethernet frame, an IPv4 packet, a segment, or the commands of a test, which are as good as any
// other bytes. Below it are headers that are right, so that it comes as far as its layer.
package corpus
