package iperf3

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// checkEnds compares what the two ends say about a test.
func checkEnds(t *testing.T, client, server *Document, loose bool) {
	t.Helper()
	if client.Error != "" || server.Error != "" {
		t.Fatalf("errors: client %q, server %q", client.Error, server.Error)
	}
	if len(client.End.Streams) != len(server.End.Streams) {
		t.Fatalf("%d and %d streams", len(client.End.Streams), len(server.End.Streams))
	}
	for i, c := range client.End.Streams {
		s := server.End.Streams[i]
		if c.Sender.Bytes != s.Sender.Bytes || c.Receiver.Bytes != s.Receiver.Bytes {
			t.Errorf("stream %d: the client says %d sent, %d received, the server %d, %d", i, c.Sender.Bytes, c.Receiver.Bytes,
				s.Sender.Bytes, s.Receiver.Bytes)
		}
		if c.Sender.Bytes == 0 || c.Receiver.Bytes == 0 || c.Receiver.Bytes > c.Sender.Bytes && !loose {
			t.Errorf("stream %d: %d bytes sent, %d received", i, c.Sender.Bytes, c.Receiver.Bytes)
		}
		if c.Sender.Sender == s.Sender.Sender {
			t.Errorf("stream %d: both ends say that they are sender or not: %v", i, c.Sender.Sender)
		}
	}
}

func TestOursWithOurs(t *testing.T) {
	some := newConcurrent()
	defer some.all.Wait()
	for name, params := range map[string]Params{
		"time":            {Time: 1},
		"reverse":         {Time: 1, Reverse: true, Parallel: 2},
		"bidirectional":   {Time: 1, Bidirectional: true, Parallel: 2},
		"bytes":           {Num: 20 << 20, Parallel: 4},
		"bytes, reverse":  {Num: 20<<20 + 17, Parallel: 4, Reverse: true},
		"bytes, bidir":    {Num: 5 << 20, Parallel: 2, Bidirectional: true},
		"blocks":          {Blocks: 1000, Len: 1000},
		"one byte":        {Num: 1},
		"omit":            {Time: 1, Omit: 1},
		"omit bytes":      {Num: 5 << 20, Omit: 1, Bidirectional: true},
		"options":         {Time: 1, Congestion: "bbr", MSS: 500, Window: 200000, NoDelay: true, TOS: 0x20, FQRate: 800e6, GetServerOutput: true, Title: "a title"},
		"smallest of all": {Num: 5000, Len: 1, NoDelay: true},
		"slow, reverse":   {Time: 1, Reverse: true, Bandwidth: 8e6},
		"slow, options":   {Time: 1, Bandwidth: 80e6, Parallel: 2, Len: 1000, MSS: 700, NoDelay: true},
	} {
		some.run(t, name, func(t *testing.T) {
			p := newPair(t)
			s := serve(t, p.server, nil)
			var out buffer
			doc, err := Run(context.Background(), p.clientConfig(&out, params))
			if err != nil {
				t.Fatal(err)
			}
			loose := params.Omit > 0 // senders begin to count at another moment than receivers
			checkEnds(t, doc, receive(t, "document", s.docs), loose)
			if t.Failed() || testing.Verbose() {
				t.Logf("client:\n%s\nserver:\n%s", out.String(), s.out.String())
			}
			e := doc.End
			if loose && params.Num > 0 {
				return
			}
			if n := params.limit(); n > 0 {
				if e.SumSent.Bytes != n || e.SumReceived.Bytes != n {
					t.Errorf("%d bytes sent, %d received, want %d", e.SumSent.Bytes, e.SumReceived.Bytes, n)
				}
				return
			}
			if s := e.SumSent.Seconds; s < 1 || s > 5 {
				t.Errorf("it took %v s, want 1", s)
			}
			streams := float64(max(params.Parallel, 1)) // each of which may be a block ahead
			most := streams * (1.01*float64(params.Bandwidth) + 8*DefaultBlock)
			if params.Bandwidth > 0 && e.SumSent.BitsPerSecond > most {
				t.Errorf("%.0f bits/s sent, want no more than %.0f", e.SumSent.BitsPerSecond, most)
			}
		})
	}
}

// Every name that scripts read from iperf3's JSON is there.
func TestJSON(t *testing.T) {
	p := newPair(t)
	s := serve(t, p.server, func(c *ServerConfig) { c.Output.JSON, c.Output.Interval = true, 250*time.Millisecond })
	var out buffer
	cfg := p.clientConfig(&out, Params{Time: 1, Bidirectional: true, GetServerOutput: true, Title: "t", ExtraData: "x"})
	cfg.Output.JSON, cfg.Output.Interval = true, 250*time.Millisecond
	if _, err := Run(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	receive(t, "document", s.docs)
	for _, text := range []string{out.String(), s.out.String()} {
		var doc map[string]any
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		for _, path := range [][]any{
			{"title"}, {"extra_data"}, {"start", "connected", 0, "socket"}, {"start", "connected", 1, "local_port"}, {"start", "version"},
			{"start", "timestamp", "timesecs"}, {"start", "cookie"}, {"start", "tcp_mss_default"}, {"start", "sndbuf_actual"},
			{"start", "test_start", "protocol"}, {"start", "test_start", "num_streams"}, {"start", "test_start", "blksize"},
			{"start", "test_start", "duration"}, {"intervals", 2, "streams", 0, "bytes"}, {"intervals", 2, "sum", "bits_per_second"},
			{"intervals", 0, "sum_bidir_reverse", "omitted"}, {"end", "streams", 0, "sender", "bytes"},
			{"end", "streams", 1, "receiver", "seconds"}, {"end", "sum_sent", "bits_per_second"}, {"end", "sum_sent", "retransmits"},
			{"end", "sum_received", "bits_per_second"}, {"end", "sum_sent_bidir_reverse", "retransmits"},
			{"end", "sum_received_bidir_reverse", "bytes"}, {"end", "cpu_utilization_percent", "host_total"},
			{"end", "cpu_utilization_percent", "remote_system"}, {"end", "sender_tcp_congestion"}, {"end", "receiver_tcp_congestion"},
		} {
			if _, err := at(doc, path); err != nil {
				t.Errorf("%v: %v", path, err)
			}
		}
	}
	var doc Document
	if err := json.Unmarshal([]byte(out.String()), &doc); err != nil || len(doc.ServerOutput) == 0 {
		t.Errorf("no output of the server in the client's: %v", err)
	}
	sender := 0
	for _, v := range doc.Intervals[1].Streams {
		if v.Sender {
			sender++
			if v.Path == nil || v.SndCwnd == 0 || v.PMTU != 1500 {
				t.Errorf("the sender's path is %+v", v.Path)
			}
		}
	}
	if sender != 1 {
		t.Errorf("%d senders, want 1", sender)
	}
}

// at walks down a path of keys and indices.
func at(v any, path []any) (any, error) {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("no object at %v", step)
			}
			if v, ok = m[step]; !ok {
				return nil, fmt.Errorf("no %v", step)
			}
		case int:
			l, ok := v.([]any)
			if !ok || len(l) <= step {
				return nil, fmt.Errorf("no element %v", step)
			}
			v = l[step]
		}
	}
	return v, nil
}

// A test that is interrupted is reported as far as it went.
func TestInterrupted(t *testing.T) {
	p := newPair(t)
	s := serve(t, p.server, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	var out buffer
	doc, err := Run(ctx, p.clientConfig(&out, Params{Time: 100, Bidirectional: true}))
	if err != nil {
		t.Fatal(err)
	}
	checkEnds(t, doc, receive(t, "document", s.docs), false)
	if sec := doc.End.SumSent.Seconds; sec > 2 {
		t.Errorf("it went on for %v s", sec)
	}
}

func TestOneOff(t *testing.T) {
	p := newPair(t)
	s := serve(t, p.server, func(c *ServerConfig) { c.OneOff = true })
	var out buffer
	if _, err := Run(context.Background(), p.clientConfig(&out, Params{Num: 1000})); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "end", s.done); err != nil {
		t.Error(err)
	}
	if _, err := Run(context.Background(), p.clientConfig(&out, Params{Num: 1000})); err == nil {
		t.Error("the server is still there")
	}
}

// What runs for each segment and block allocates nothing.
func TestNoAllocations(t *testing.T) {
	p := Params{Num: 1 << 40}
	p.Defaults()
	test := newTest(nil, p, true)
	timed := &stream{test: newTest(nil, Params{TCP: true, Parallel: 1, Len: 1, Time: 1}, true), counting: true}
	data := make([]byte, 1448)
	rate := pace{rate: 1e9}
	n := testing.AllocsPerRun(1000, func() {
		timed.Received(nil, data)
		test.limit.received(len(data))
		if test.limit.take(DefaultBlock) > 0 {
			test.limit.wrote()
		}
		rate.due(rate.since.Add(time.Second))
	})
	if n != 0 || timed.bytes == 0 {
		t.Errorf("%v allocations, %d bytes", n, timed.bytes)
	}
}
