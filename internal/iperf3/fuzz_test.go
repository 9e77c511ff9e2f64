package iperf3

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// What a client sends as its parameters is refused, or is a test that can be made.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{
		`{"tcp":true,"omit":0,"time":2,"num":0,"blockcount":0,"parallel":2,"bidirectional":true,"len":131072,"pacing_timer":1000,"client_version":"3.12"}`,
		`{"tcp":true,"num":1e+12,"parallel":1,"len":1,"MSS":536,"window":1e300,"bandwidth":18446744073709551615,"congestion":"bbr"}`,
		`{"udp":true,"parallel":-1,"len":null}`, `[]`, `{"tcp":1,"parallel":128,"len":1048576,"blockcount":4398046511104}`,
	} {
		b, _ := appendMessage(nil, json.RawMessage(seed))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Params
		if err := readMessage(bytes.NewReader(b), maxParams, &p); err != nil {
			return
		}
		if p.check() != nil {
			return
		}
		test := newTest(nil, p, false)
		if test.want < 1 || test.want > 2*MaxStreams || len(test.block) < 1 || p.limit() < 0 {
			t.Errorf("%d streams, blocks of %d bytes, %d bytes in all", test.want, len(test.block), p.limit())
		}
	})
}

// What an end sends as its results makes a document that can be written, or an error.
func FuzzResults(f *testing.F) {
	for _, seed := range []string{
		`{"cpu_util_total":50.4,"cpu_util_user":0.67,"cpu_util_system":49.7,"sender_has_retransmits":1,"congestion_used":"bbr","streams":[{"id":1,"bytes":2165309440,"retransmits":1.8446744073709552e+19,"jitter":0,"errors":0,"packets":0,"start_time":0,"end_time":2.002079},{"id":3,"bytes":5,"end_time":1e308}]}`,
		`{"cpu_util_total":-1e308,"streams":[{"id":1},{"id":3,"bytes":-1,"retransmits":9223372036854775807,"start_time":-1e308,"end_time":1e308}],"server_output_json":{"a":[1]}}`,
		`{"streams":null,"server_output_text":"\u001b"}`, `{"streams":[{"id":1e99}]}`,
	} {
		b, _ := appendMessage(nil, json.RawMessage(seed))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Results
		if err := readMessage(bytes.NewReader(b), maxResults, &r); err != nil {
			return
		}
		p := Params{Parallel: 1, Bidirectional: true}
		p.Defaults()
		test := newTest(nil, p, true)
		test.join(&stream{})
		test.join(&stream{})
		m := newMeter(test)
		m.add([]sample{{bytes: 10, alive: true}, {bytes: 20}}, test.start.Add(time.Second), false, time.Second)
		m.finish(test.start.Add(time.Second))
		sum, err := m.summary(&r, "cubic")
		if err != nil {
			return
		}
		report := newReport(Output{W: &bytes.Buffer{}}, &p, true)
		report.end(sum)
		if _, err := report.json(); err != nil {
			t.Error(err)
		}
	})
}

// The two numbers of a server's error are any bytes.
func FuzzRemoteError(f *testing.F) {
	f.Add([]byte{0, 0, 0, 134, 0, 0, 0, 2})
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := readRemoteError(bytes.NewReader(b)); err == nil || err.Error() == "" {
			t.Errorf("no error: %v", err)
		}
	})
}
