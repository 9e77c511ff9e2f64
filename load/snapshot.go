package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/tcp"
)

// State is how far a run is.
type State uint8

// The states, in their order. A run without warm-up, or without connections that are opened beforehand, skips those.
const (
	Opening  State = iota // connections are opened; no request was due yet
	WarmUp                // requests are made, and what they bring is forgotten
	Running               // requests are made and count
	Draining              // no more are begun; those that are under way are waited for
	Finished              // all is over
)

// String returns the state's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

var stateNames = [...]string{"opening", "warm-up", "running", "draining", "finished"}

// Counts are the counters of a run. A request belongs to the time at which it was intended to start: those of the warm-up count in
// the warm-up only, whenever they end.
type Counts struct {
	Started       uint64 `help:"requests begun"`
	Done          uint64 `help:"requests that were answered, completely and well"`
	Failed        uint64 `help:"requests that failed, for whatever reason"`
	Connects      uint64 `help:"connections established"`
	ConnectsLost  uint64 `help:"attempts at a connection that failed"`
	ClosedByPeer  uint64 `help:"connections that the target closed or reset"`
	Retried       uint64 `help:"requests begun again on another connection, because the target closed theirs after an earlier response"`
	Dropped       uint64 `help:"connections reset by this side: a request timed out, or what came was no response"`
	BytesSent     uint64 `help:"bytes of requests, without headers of TCP, UDP and below"`
	BytesReceived uint64 `help:"bytes of responses, without headers of TCP, UDP and below"`
	Late          uint64 `help:"datagrams that came after their request had timed out, or twice"`

	Errors   [numReasons]uint64 // failed requests by Reason; their sum is Failed
	Statuses [6]uint64          // HTTP responses by the first digit of their status; 0: not used
}

// Gauges are how things stood at one moment.
type Gauges struct {
	Open     int // connections established
	Opening  int // connections on their way
	InFlight int // requests begun and not ended
	Waiting  int // arrivals that wait for a free connection
}

// Histograms are the distributions that a run records, in ns.
type Histograms struct {
	// Connect is the time from the SYN to the established connection.
	Connect *hdrhistogram.Histogram
	// FirstByte and Total are the times from the intended start of a request, which includes the connecting of one that needs a
	// connection of its own, to the first and to the last byte of its response.
	FirstByte, Total *hdrhistogram.Histogram
	// ScheduleError is how late the generator itself was: from the intended start to when an arrival was taken up. Open loop only.
	ScheduleError *hdrhistogram.Histogram
	// Wait is how long arrivals then waited for a free connection, those that did not wait included. Open loop only.
	Wait *hdrhistogram.Histogram
	// FailedAfter is how long failed requests took to fail, from their intended start.
	FailedAfter *hdrhistogram.Histogram
}

// CPU is processor time of this process.
type CPU struct{ User, System time.Duration }

// Snapshot is the state of a run at one moment. Counts and histograms are of what has happened since Since; nobody else has them.
type Snapshot struct {
	At      time.Time     // when the snapshot was taken
	State   State         //
	Since   time.Time     // when counting began: the start, or the end of the warm-up, at which all counts begin anew
	Elapsed time.Duration // how long requests have been begun, or were: without the time of draining
	Rate    float64       // arrivals per second that are intended at this moment; 0: closed loop
	Err     error         // why the run ended early: Config.FailFast, or the stack was closed

	Counts
	Gauges
	Histograms
	TCP tcp.Stats // of the whole stack, since Since
	CPU CPU       // since Since
}

// Counter is one of a snapshot's counts, by name.
type Counter struct {
	Name  string
	Value uint64
}

// Counters returns the counts in the order in which they are shown. Errors are not among them.
func (c *Counts) Counters() []Counter {
	return []Counter{
		{"started", c.Started}, {"done", c.Done}, {"failed", c.Failed}, {"connects", c.Connects}, {"connects_lost", c.ConnectsLost},
		{"closed_by_peer", c.ClosedByPeer}, {"retried", c.Retried}, {"dropped", c.Dropped}, {"bytes_sent", c.BytesSent},
		{"bytes_received", c.BytesReceived}, {"late", c.Late},
		{"status_1xx", c.Statuses[1]}, {"status_2xx", c.Statuses[2]}, {"status_3xx", c.Statuses[3]}, {"status_4xx", c.Statuses[4]},
		{"status_5xx", c.Statuses[5]},
	}
}

// ErrorsByName returns the failed requests of each reason that there were.
func (c *Counts) ErrorsByName() map[string]uint64 {
	m := make(map[string]uint64)
	for r, n := range c.Errors {
		if n > 0 {
			m[Reason(r).String()] = n
		}
	}
	return m
}

// ByName returns the histograms by the names that results have for them.
func (h *Histograms) ByName() map[string]*hdrhistogram.Histogram {
	return map[string]*hdrhistogram.Histogram{
		"connect": h.Connect, "first_byte": h.FirstByte, "total": h.Total, "schedule_error": h.ScheduleError, "wait": h.Wait,
		"failed_after": h.FailedAfter,
	}
}

// add adds another shard's counts.
func (c *Counts) add(o *Counts) {
	c.Started += o.Started
	c.Done += o.Done
	c.Failed += o.Failed
	c.Connects += o.Connects
	c.ConnectsLost += o.ConnectsLost
	c.ClosedByPeer += o.ClosedByPeer
	c.Retried += o.Retried
	c.Dropped += o.Dropped
	c.BytesSent += o.BytesSent
	c.BytesReceived += o.BytesReceived
	c.Late += o.Late
	for i, n := range o.Errors {
		c.Errors[i] += n
	}
	for i, n := range o.Statuses {
		c.Statuses[i] += n
	}
}
