package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/xdpstack/xdpstack/internal/demo"
)

// newProgress shows jobs as bars on a terminal, and as plain lines elsewhere.
func newProgress(w io.Writer) demo.Progress {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return barProgress{w}
	}
	return plainProgress{w}
}

const (
	barRefresh   = 100 * time.Millisecond
	plainRefresh = 5 * time.Second
)

// counter is a job's progress: adding to it is cheap, and somebody looks at it now and then.
type counter struct {
	n    atomic.Int64
	stop chan struct{}
	wg   sync.WaitGroup
}

// every calls show at an interval until the job ends.
func (c *counter) every(interval time.Duration, show func(n int64)) {
	c.stop = make(chan struct{})
	c.wg.Go(func() {
		t := time.NewTicker(interval)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				show(c.n.Load())
			case <-c.stop:
				return
			}
		}
	})
}

func (c *counter) Add(n int64) { c.n.Add(n) }

func (c *counter) end() {
	close(c.stop)
	c.wg.Wait()
}

// nameWidth fits the names of the jobs.
const nameWidth = 16

// plainProgress writes a line at the start, at the end, and every few seconds between.
type plainProgress struct{ w io.Writer }

type plainStep struct {
	counter
	name string
	w    io.Writer
}

func (p plainProgress) Start(name string, total int64, unit string) demo.Step {
	s := &plainStep{name: name, w: p.w}
	amount := func(n int64) string {
		if unit == "B" {
			return formatBytes(n)
		}
		return fmt.Sprintf("%d %s", n, unit)
	}
	if total > 0 {
		fmt.Fprintf(p.w, "%-*s %s\n", nameWidth, name, amount(total))
	} else {
		fmt.Fprintf(p.w, "%-*s …\n", nameWidth, name)
	}
	s.every(plainRefresh, func(n int64) {
		if total > 0 {
			fmt.Fprintf(p.w, "%-*s %d %%\n", nameWidth, name, n*100/total)
		} else {
			fmt.Fprintf(p.w, "%-*s %s\n", nameWidth, name, amount(n))
		}
	})
	return s
}

func (s *plainStep) Done(summary string) {
	s.end()
	fmt.Fprintf(s.w, "%-*s %s\n", nameWidth, s.name, summary)
}

func (s *plainStep) Fail(err error) {
	s.end()
	fmt.Fprintf(s.w, "%-*s FAILED: %v\n", nameWidth, s.name, err)
}

// barProgress draws a bar, which gives way to a line with the outcome.
type barProgress struct{ w io.Writer }

type barStep struct {
	counter
	name string
	w    io.Writer
	bars *mpb.Progress
	bar  *mpb.Bar
}

func (p barProgress) Start(name string, total int64, unit string) demo.Step {
	s := &barStep{name: name, w: p.w, bars: mpb.New(mpb.WithOutput(p.w), mpb.WithWidth(80))}
	label := mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-*s", nameWidth, name)))
	switch {
	case unit == "B":
		s.bar = s.bars.AddBar(total, mpb.BarRemoveOnComplete(), label, mpb.AppendDecorators(
			decor.CountersKibiByte("% .1f of % .1f"), decor.AverageSpeed(decor.SizeB1024(0), "  % .1f")))
	case total > 0:
		s.bar = s.bars.AddBar(total, mpb.BarRemoveOnComplete(), label, mpb.AppendDecorators(decor.CountersNoUnit("%d of %d "+unit)))
	default:
		s.bar = s.bars.AddSpinner(0, mpb.BarRemoveOnComplete(), label, mpb.AppendDecorators(decor.CurrentNoUnit("%d "+unit)))
	}
	s.every(barRefresh, func(n int64) { s.bar.SetCurrent(n) })
	return s
}

func (s *barStep) finish() {
	s.end()
	s.bar.Abort(true) // takes the bar off the screen, complete or not
	s.bars.Wait()
}

func (s *barStep) Done(summary string) {
	s.finish()
	fmt.Fprintf(s.w, "%-*s ✓ %s\n", nameWidth, s.name, summary)
}

func (s *barStep) Fail(err error) {
	s.finish()
	fmt.Fprintf(s.w, "%-*s ✗ %v\n", nameWidth, s.name, err)
}
