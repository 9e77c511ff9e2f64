package pkt

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// poll completes when one of the descriptors is ready, or after its timeout in milliseconds. What each is ready for is compared
// with revents of the script.
func (r *runner) poll(c *call, b *blocked) (attempt, error) {
	list := c.arg(0)
	if list.kind != valueList {
		return nil, fmt.Errorf("the first argument of poll must be [{fd=…, events=…, revents=…}, …]")
	}
	for _, v := range list.list {
		if r.sockets[v.fields["fd"].n] == nil {
			return nil, fmt.Errorf("poll: descriptor %d is not open", v.fields["fd"].n)
		}
	}
	timeout := c.arg(2).n
	if timeout >= 0 {
		b.wake = r.host.now + time.Duration(timeout)*time.Millisecond
	}
	end := b.wake
	return func() (outcome, bool) {
		ready, wrong := int64(0), false
		for _, v := range list.list {
			got := r.ready(r.sockets[v.fields["fd"].n], v.fields["events"].names)
			if len(got) != 0 {
				ready++
			}
			want := slices.Sorted(slices.Values(v.fields["revents"].names))
			if !slices.Equal(got, want) {
				wrong = true
				r.note(fmt.Sprintf("poll: descriptor %d is ready for %s", v.fields["fd"].n, strings.Join(got, "|")))
			}
		}
		if ready == 0 && r.host.now < end {
			return outcome{}, false
		}
		if wrong {
			ready = -ready
		}
		return outcome{n: ready}, true
	}, nil
}

// note adds a line to the trace, but not the same one twice.
func (r *runner) note(text string) {
	if n := len(r.trace); n == 0 || r.trace[n-1].text != text {
		r.trace = append(r.trace, traced{at: r.host.now, text: text})
	}
}

// ready returns which of the events, or of those that are always asked for, a socket is ready for, sorted.
func (r *runner) ready(s *socket, events []string) []string {
	now := s.Ready()
	is := map[string]bool{"POLLIN": now.In, "POLLOUT": now.Out, "POLLRDHUP": now.RDHup, "POLLHUP": now.Hup, "POLLERR": now.Err}
	var got []string
	for name, on := range is {
		if on && (slices.Contains(events, name) || name == "POLLHUP" || name == "POLLERR") {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	return got
}
