package ss

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/xdpstack/xdpstack/internal/control"
)

// maxLine bounds a line of an answer in bytes: a socket at a path that the user typed may be anybody's.
const maxLine = 1 << 16

var errCut = errors.New("ss: the answer was cut short: has the process ended?")

// Ask asks a process. The lines that it yields are JSON of an Entry each, as they came, and the Entry, unless the query wants them raw. An
// error comes last.
func Ask(ctx context.Context, c control.Client, q Query) iter.Seq2[*Answer, error] {
	return func(yield func(*Answer, error) bool) {
		body, err := c.Stream(ctx, Path+"?"+q.values().Encode())
		if err != nil {
			yield(nil, err)
			return
		}
		defer body.Close()
		lines := bufio.NewScanner(body)
		lines.Buffer(make([]byte, 4096), maxLine)
		for lines.Scan() {
			a, last, err := parseLine(lines.Bytes(), q.Raw)
			if last || err != nil {
				if err != nil {
					yield(nil, err)
				}
				return
			}
			if !yield(a, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("ss: %w", err))
			return
		}
		yield(nil, errCut)
	}
}

// Answer is an entry, and the JSON that it came as.
type Answer struct {
	Entry
	JSON []byte
}

// parseLine reads a line of an answer. Of a raw one it is only made sure that it is JSON: that is a tenth of the work.
func parseLine(b []byte, raw bool) (a *Answer, last bool, err error) {
	a = &Answer{JSON: bytes.Clone(b)}
	if raw && !bytes.HasPrefix(b, []byte(`{"end":`)) && json.Valid(b) {
		return a, false, nil
	}
	l := line{Entry: &a.Entry}
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, false, fmt.Errorf("ss: the answer is of another version of xdpstack: %w", err)
	}
	if l.End == nil {
		return a, false, nil
	}
	if l.End.Error != "" {
		err = fmt.Errorf("ss: after %d connections: %s", l.End.Shown, l.End.Error)
	}
	return nil, true, err
}
