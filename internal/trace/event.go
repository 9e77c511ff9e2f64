package trace

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// Event is something that happened to a connection, or a sample of it: a line of the answer. Sizes are in bytes, times in seconds.
type Event struct {
	Time  float64 `json:"t"` // since the trace began
	Conn  int     `json:"conn"`
	Kind  string  `json:"event"`
	Flow  string  `json:"flow,omitempty"` // local-remote, with the first event of a connection
	State string  `json:"state"`
	From  string  `json:"from,omitempty"` // the state before
	N     uint64  `json:"n,omitempty"`
	For   float64 `json:"for,omitempty"`
	Err   string  `json:"error,omitempty"`

	CWnd     uint32  `json:"cwnd"`
	SSThresh uint32  `json:"ssthresh,omitempty"` // absent while slow start has no end in sight
	InFlight uint32  `json:"in_flight"`
	Unsent   uint32  `json:"unsent"`
	Unread   uint32  `json:"unread"`
	SendWnd  uint32  `json:"snd_wnd"`
	RecvWnd  uint32  `json:"rcv_wnd"`
	MSS      uint16  `json:"mss"`
	SRTT     float64 `json:"srtt"`
	RTO      float64 `json:"rto"`
	Resent   uint32  `json:"retrans_total"` // segments
	Acked    uint64  `json:"bytes_acked"`
	Received uint64  `json:"bytes_received"`

	Dropped uint64 `json:"dropped,omitempty"` // events that are missing so far, because they came faster than they were read
}

// kinds are the names of the kinds, and what they say to people, with {n} and {for} for the event's. A loss has a mark in charts.
var kinds = [...]struct {
	name, text string
	loss       bool
}{
	stack.TraceBegin:         {name: "begin", text: "tracing begins"},
	stack.TraceState:         {name: "state", text: "state"},
	stack.TraceSample:        {name: "sample"},
	stack.TraceTimeout:       {"rto", "LOSS: the retransmission timer expired", true},
	stack.TraceFastRecovery:  {"fast_recovery", "LOSS: found by SACK, RACK or duplicate ACKs, fast recovery", true},
	stack.TraceLostAgain:     {"lost_again", "LOSS: {n} segments sent again were lost too", true},
	stack.TraceTailProbe:     {name: "tlp", text: "tail loss probe"},
	stack.TraceTailLoss:      {"tail_loss", "LOSS: at the tail, repaired by the probe", true},
	stack.TraceRetransmit:    {name: "retransmit", text: "sent again: {n} segments"},
	stack.TraceUndo:          {name: "undo", text: "it was no loss: the window is as before"},
	stack.TraceDSACK:         {name: "dsack", text: "the peer got something twice (D-SACK)"},
	stack.TraceMark:          {name: "ce", text: "{n} segments came marked (ECN CE)"},
	stack.TraceMarked:        {"ecn", "a router marked what was sent (ECN)", true},
	stack.TraceMTU:           {name: "mtu", text: "the path takes only smaller segments"},
	stack.TraceProbe:         {name: "probe", text: "probe of a closed window or a silent peer"},
	stack.TraceWindowClosed:  {name: "window_closed", text: "the peer's window is closed"},
	stack.TraceWindowOpen:    {name: "window_open", text: "the peer's window is open again, after {for}"},
	stack.TraceReceiveClosed: {name: "receive_closed", text: "the window is closed: the application does not read"},
	stack.TraceReceiveOpen:   {name: "receive_open", text: "the window is open again, after {for}"},
	stack.TraceStall:         {name: "stall", text: "the application had written nothing for {for}"},
	stack.TraceEnd:           {name: "end", text: "the connection is over"},
}

func kindNamed(name string) (k stack.TraceKind, ok bool) {
	for i := range kinds {
		if kinds[i].name == name {
			return stack.TraceKind(i), true
		}
	}
	return 0, false
}

// event makes what is told of e.
func event(e *stack.TraceEvent, begin clock.Time, dropped uint64) Event {
	out := Event{
		Time: max(e.Time.Sub(begin), 0).Seconds(), Conn: e.Conn, Kind: kinds[e.Kind].name, State: e.State.String(), N: e.N,
		For:  e.For.Seconds(),
		CWnd: e.CWnd, InFlight: e.InFlight, Unsent: e.Unsent, Unread: e.Unread, SendWnd: e.SendWindow, RecvWnd: e.RecvWindow, MSS: e.MSS,
		SRTT: e.SRTT.Seconds(), RTO: e.RTO.Seconds(), Resent: e.Resent, Acked: e.Acked, Received: e.Received, Dropped: dropped,
	}
	if e.SSThresh < infinite {
		out.SSThresh = e.SSThresh
	}
	switch e.Kind {
	case stack.TraceBegin:
		out.Flow = e.Flow.Local().String() + "-" + e.Flow.Remote().String()
	case stack.TraceState:
		out.From = e.From.String()
	case stack.TraceEnd:
		if e.Err != nil {
			out.Err = e.Err.Error()
		}
	}
	return out
}

// infinite is a threshold that slow start does not reach.
const infinite = 1 << 30

// Loss reports whether the event tells of a loss, or of a mark that stands for one.
func (e *Event) Loss() bool {
	k, ok := kindNamed(e.Kind)
	return ok && kinds[k].loss
}

// Text returns the event as a line for people.
func (e *Event) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%12.6f  #%-2d ", e.Time, e.Conn)
	k, _ := kindNamed(e.Kind)
	text := strings.NewReplacer("{n}", strconv.FormatUint(e.N, 10), "{for}", short(e.For)).Replace(kinds[k].text)
	switch e.Kind {
	case "begin":
		text = e.Flow + " " + e.State + ", " + text
	case "state":
		text = e.From + " → " + e.State
	case "end":
		if e.Err != "" {
			text += ": " + e.Err
		}
	}
	if text != "" {
		b.WriteString(text + "  ")
	}
	e.numbers(&b)
	return strings.TrimRight(b.String(), " ")
}

func (e *Event) numbers(b *strings.Builder) {
	if e.MSS == 0 {
		return // before the handshake nothing means anything
	}
	segments := func(bytes uint32) float64 { return float64(bytes) / float64(e.MSS) }
	fmt.Fprintf(b, "cwnd %.0f", segments(e.CWnd))
	if e.SSThresh != 0 {
		fmt.Fprintf(b, " ssthresh %.0f", segments(e.SSThresh))
	}
	fmt.Fprintf(b, " in flight %.0f srtt %s", segments(e.InFlight), short(e.SRTT))
	if e.Unsent > 0 {
		fmt.Fprintf(b, " unsent %d", e.Unsent)
	}
	if e.Unread > 0 {
		fmt.Fprintf(b, " unread %d", e.Unread)
	}
	fmt.Fprintf(b, " acked %d received %d", e.Acked, e.Received)
	if e.Dropped > 0 {
		fmt.Fprintf(b, " (%d events are missing)", e.Dropped)
	}
}

// short shows seconds with three digits or so.
func short(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d >= time.Second:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}
