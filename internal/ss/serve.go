package ss

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// Path is where Serve is to be asked, and SummaryPath where Summarize is.
const (
	Path        = "/connections"
	SummaryPath = "/connections/summary"
)

// line is one of an answer: an Entry, or the last.
type line struct {
	*Entry
	End *end `json:"end,omitempty"`
}

// end is the last line of an answer. Without it something is missing.
type end struct {
	Shown int    `json:"shown"`
	Error string `json:"error,omitempty"` // why it is not all
}

// Serve answers a request for connections, in lines of JSON. An error that it returns is the asker's.
func Serve(s *stack.Stack, w http.ResponseWriter, r *http.Request) error {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		return control.BadRequest{Err: err}
	}
	f, err := Parse(q.Filter, nil)
	if err != nil {
		return control.BadRequest{Err: err}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriterSize(w, 64<<10)
	a := answer{encoder: json.NewEncoder(out), info: q.Info}
	last := end{}
	if err := a.run(r.Context(), s, &q, f); err != nil {
		last.Error = err.Error()
	}
	last.Shown = a.shown
	if a.encoder.Encode(line{End: &last}) == nil {
		_ = out.Flush() // an asker that has gone needs no answer
	}
	return nil
}

// answer is the lines of one answer.
type answer struct {
	encoder *json.Encoder
	info    bool
	shown   int
}

func (a *answer) show(c *stack.ConnInfo) error {
	e := entry(c, a.info)
	a.shown++
	return a.encoder.Encode(line{Entry: &e})
}

func (a *answer) run(ctx context.Context, s *stack.Stack, q *Query, f *Filter) error {
	var best *top
	if q.Top > 0 {
		best = newTop(q.Sort, q.Top)
	}
	for c, err := range s.Connections(ctx, q.connQuery(f)) {
		if err != nil {
			return err
		}
		if best != nil {
			best.add(&c)
		} else if err := a.show(&c); err != nil {
			return err
		}
	}
	if best != nil {
		for _, r := range best.sorted() {
			if err := a.show(&r.conn); err != nil {
				return err
			}
		}
	}
	return nil
}

// connQuery says what is to be walked through for a query.
func (q *Query) connQuery(f *Filter) stack.ConnQuery {
	states := q.States
	if states == 0 {
		states = StatesOpen
	}
	states = f.States(states)
	both := q.TCP == q.UDP
	cq := stack.ConnQuery{
		Kinds: states.kinds(q.TCP || both, q.UDP || both), TCPInfo: q.Info,
		Filter: func(c *stack.ConnInfo) bool { return states&oneState(c.State) != 0 && f.Match(c) },
	}
	if cq.Kinds == 0 { // which would be all
		cq.Kinds, cq.Filter = stack.KindUDP, func(*stack.ConnInfo) bool { return false }
	}
	return cq
}

// Summary counts connections, by the names of their states.
type Summary struct {
	TCP    map[string]int `json:"tcp"`
	UDP    map[string]int `json:"udp"`
	Shards []int          `json:"shards"` // connections of each, without listeners and records
}

// Summarize answers a request for a summary.
func Summarize(s *stack.Stack, r *http.Request) (any, error) {
	sum := Summary{TCP: map[string]int{}, UDP: map[string]int{}, Shards: make([]int, s.Shards())}
	count := func(c *stack.ConnInfo) bool { // on the shards, so that nothing has to leave them
		switch c.Kind {
		case stack.KindUDP:
			sum.UDP[columns[c.State]]++
			return false
		case stack.KindConn:
			sum.Shards[c.Shard]++
		}
		sum.TCP[columns[c.State]]++
		return false
	}
	for _, err := range s.Connections(r.Context(), stack.ConnQuery{Filter: count}) {
		if err != nil {
			return nil, fmt.Errorf("connections: %w", err)
		}
	}
	return sum, nil
}

// Total counts those of a summary in some states.
func Total(counts map[string]int, states ...tcp.State) (n int) {
	for _, s := range states {
		n += counts[columns[s]]
	}
	return n
}
