package packets

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Record is a packet, or, without Data, only how many were lost so far.
type Record struct {
	Time   int64  `json:"time"` // ns since 1970
	Sent   bool   `json:"sent,omitempty"`
	Queue  int    `json:"queue"`
	Reason string `json:"reason,omitempty"` // why it was dropped; of one that was sent, why the XDP program has answered
	Len    int    `json:"len"`              // in bytes; of them are kept
	Data   []byte `json:"data,omitempty"`   // from the Ethernet header on
	Lost   uint64 `json:"lost,omitempty"`   // packets that the capture was too slow for, until now
}

// Line writes it as a line of text.
func (r *Record) Line(w io.Writer) error {
	var h header
	h.parse(r.Data)
	way, why := "in ", ""
	if r.Sent {
		way = "out"
	}
	switch {
	case r.answer():
		why = "  ANSWERED " + r.Reason
	case r.Reason != "":
		why = "  DROPPED " + r.Reason
	}
	_, err := fmt.Fprintf(w, "%s q%d %s %v%s\n", time.Unix(0, r.Time).Format("15:04:05.000000000"), r.Queue, way, &h, why)
	return err
}

// answer reports whether it is an answer of the XDP program's: the stack's counters of such begin so.
func (r *Record) answer() bool { return strings.HasPrefix(r.Reason, "steer_answered_") }

// File writes a pcapng file.
type File struct{ w *pcapgo.NgWriter }

// NewFile begins one.
func NewFile(w io.Writer, iface, filter string, snap int) (*File, error) {
	ng, err := pcapgo.NewNgWriterInterface(w, pcapgo.NgInterface{
		Name: iface, Filter: filter, LinkType: layers.LinkTypeEthernet, SnapLength: uint32(snap), TimestampResolution: 9,
	}, pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "xdpstack capture"}})
	return &File{ng}, err
}

// Write adds a packet: its way as a flag, its queue, and why it was dropped as a comment.
func (f *File) Write(r *Record) error {
	queue := uint32(r.Queue)
	way := pcapgo.NgEpbFlagDirectionInbound
	if r.Sent {
		way = pcapgo.NgEpbFlagDirectionOutbound
	}
	opts := pcapgo.NgPacketOptions{Queue: &queue, Flags: &pcapgo.NgEpbFlags{Direction: way}}
	if r.answer() {
		opts.Comments = []string{fmt.Sprintf("answered: %s, queue %d", r.Reason, r.Queue)}
	} else if r.Reason != "" {
		opts.Comments = []string{fmt.Sprintf("dropped: %s, queue %d", r.Reason, r.Queue)}
	}
	return f.w.WritePacketWithOptions(gopacket.CaptureInfo{
		Timestamp: time.Unix(0, r.Time), CaptureLength: len(r.Data), Length: max(r.Len, len(r.Data)),
	}, r.Data, opts)
}

// Flush writes what is buffered.
func (f *File) Flush() error { return f.w.Flush() }

// Close ends the file with how many packets there were, and how many were lost. The writer stays open.
func (f *File) Close(packets, lost uint64) error {
	err := f.w.WriteInterfaceStats(0, pcapgo.NgInterfaceStatistics{
		LastUpdate: time.Now(), PacketsReceived: packets + lost, PacketsDropped: lost,
	})
	if err != nil {
		return err
	}
	return f.w.Flush()
}
