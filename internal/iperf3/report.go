package iperf3

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Output says how a test is reported.
type Output struct {
	W         io.Writer
	JSON      bool          // iperf3's JSON after the test in place of text while it runs
	Format    byte          // of rates: one of Formats; 0: as large as fits
	Interval  time.Duration // between reports; default 1 s, negative: none
	OmitTitle bool          // no title in front of lines
	Version   string        // of this program, for the JSON
}

// protocolVersion is the version of iperf3 whose protocol and output these are.
const protocolVersion = "3.12"

// maxKept bounds the text that a server keeps for a client that wants it, in bytes.
const maxKept = 4 << 20

func (o *Output) interval() time.Duration {
	switch {
	case o.Interval == 0:
		return time.Second
	case o.Interval < 0:
		return 0
	}
	return o.Interval
}

// report is a test's document while it grows, and its text.
type report struct {
	out  Output
	doc  Document
	text textReport
	kept *limitedBuffer // nil: nobody wants the text
}

// limitedBuffer forgets what is beyond its limit.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxKept - b.Len(); len(p) > room {
		b.Buffer.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}

func newReport(o Output, p *Params, client bool) *report {
	r := &report{out: o, doc: Document{Title: p.Title, ExtraData: p.ExtraData, Intervals: []Interval{}}}
	r.text = textReport{w: o.W, format: o.Format, client: client}
	if !client && bool(p.GetServerOutput) {
		r.kept = &limitedBuffer{}
		r.text.w = io.MultiWriter(o.W, r.kept)
	}
	if o.JSON {
		r.text.w = io.Discard
	}
	if client {
		r.text.title = p.Title
	}
	r.doc.Start = Start{Connected: []Connected{}, Version: "iperf " + protocolVersion, SystemInfo: systemInfo()}
	if o.Version != "" {
		r.doc.Start.Version += " (xdpstack " + o.Version + ")"
	}
	return r
}

// systemInfo is what uname says.
func systemInfo() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	var parts []string
	for _, f := range [][65]byte{u.Sysname, u.Nodename, u.Release, u.Version, u.Machine} {
		parts = append(parts, unix.ByteSliceToString(f[:]))
	}
	return strings.Join(parts, " ")
}

// begin notes what the test is.
func (r *report) begin(t *test, samples []sample) {
	p := &t.params
	r.text.bidir, r.text.many = bool(p.Bidirectional), p.Parallel > 1
	now := time.Now()
	s := &r.doc.Start
	s.Timestamp = &Timestamp{Time: now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), Secs: now.Unix()}
	s.TargetBitrate, s.FQRate, s.SockBufSize = int64(p.Bandwidth), int64(p.FQRate), int(p.Window)
	for _, st := range t.streams {
		s.Connected = append(s.Connected, Connected{Socket: firstSocket + st.n, LocalHost: st.local.Addr().String(),
			LocalPort: int(st.local.Port()), RemoteHost: st.remote.Addr().String(), RemotePort: int(st.remote.Port())})
	}
	s.TCPMSSDefault = int(samples[0].mss)
	s.SndBufActual, s.RcvBufActual = int(samples[0].sndbuf), int(samples[0].rcvbuf)
	s.TestStart = &TestParams{
		Protocol: "TCP", Streams: int(p.Parallel), BlockSize: int(p.Len), Omit: int(p.Omit), Duration: int(p.Time), Bytes: int64(p.Num),
		Blocks: int64(p.Blocks), Reverse: asInt(bool(p.Reverse)), TOS: int(p.TOS), TargetBitrate: int64(p.Bandwidth),
		Bidir: asInt(bool(p.Bidirectional)), FQRate: int64(p.FQRate),
	}
	r.text.connected(s.Connected)
}

func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// interval reports one interval. Only JSON needs all of them at the end.
func (r *report) interval(iv Interval) {
	if r.out.interval() == 0 {
		return
	}
	if r.out.JSON {
		r.doc.Intervals = append(r.doc.Intervals, iv)
	}
	r.text.interval(iv)
}

// end reports the totals.
func (r *report) end(e End) {
	r.doc.End = e
	r.text.summary(&r.doc.End)
}

// write writes the document, if that is the output. err is why the test failed.
func (r *report) write(err error) {
	if err != nil {
		r.doc.Error = "error - " + err.Error()
	}
	if !r.out.JSON {
		return
	}
	text, jsonErr := r.json()
	if jsonErr != nil {
		text = fmt.Appendf(nil, "{\"error\": %q}", jsonErr)
	}
	fmt.Fprintf(r.out.W, "%s\n", text)
}

// json is the document as iperf3 writes it.
func (r *report) json() ([]byte, error) { return json.MarshalIndent(&r.doc, "", "\t") }
