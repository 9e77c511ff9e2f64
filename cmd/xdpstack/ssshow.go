package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/internal/ss"
)

// ssShow writes connections in the columns of ss.
type ssShow struct {
	out   io.Writer
	names *ss.Names
	owner string // the process

	numeric, timer, extended, memory, process, info, oneline, noHeader bool

	rows  [][ssColumns]string // that wait until the widths are known
	after []string            // what follows each of them
	width [ssColumns]int
	begun bool
}

// The columns. Addresses are aligned at the colon.
const (
	ssNetid = iota
	ssState
	ssRecvQ
	ssSendQ
	ssLocal
	ssLocalPort
	ssPeer
	ssPeerPort
	ssColumns
)

// ssSample is how many connections decide about the widths of the columns: nobody waits for the last of a million.
const ssSample = 1000

var ssHeader = [ssColumns]string{"Netid", "State", "Recv-Q", "Send-Q", "Local Address", "Port", "Peer Address", "Port"}

func (s *ssShow) add(e *ss.Entry) error {
	row := [ssColumns]string{ssNetid: e.Proto, ssState: e.State, ssRecvQ: strconv.Itoa(e.RecvQ), ssSendQ: strconv.Itoa(e.SendQ)}
	row[ssLocal], row[ssLocalPort] = s.address(e.Local, e.Proto)
	row[ssPeer], row[ssPeerPort] = s.address(e.Remote, e.Proto)
	if s.begun {
		return s.write(&row, s.rest(e))
	}
	if len(s.rows) == 0 && !s.noHeader {
		s.rows, s.after = append(s.rows, ssHeader), append(s.after, "")
	}
	s.rows, s.after = append(s.rows, row), append(s.after, s.rest(e))
	if len(s.rows) >= ssSample {
		return s.begin()
	}
	return nil
}

// end writes what still waits.
func (s *ssShow) end() {
	if !s.begun {
		if len(s.rows) == 0 && !s.noHeader {
			s.rows, s.after = append(s.rows, ssHeader), append(s.after, "")
		}
		_ = s.begin() // there is nobody left to tell
	}
}

func (s *ssShow) begin() error {
	s.begun = true
	for i := range s.rows {
		for c, text := range s.rows[i] {
			s.width[c] = max(s.width[c], len(text))
		}
	}
	for i := range s.rows {
		if err := s.write(&s.rows[i], s.after[i]); err != nil {
			return err
		}
	}
	s.rows, s.after = nil, nil
	return nil
}

func (s *ssShow) write(row *[ssColumns]string, after string) error {
	w := &s.width
	line := fmt.Sprintf("%-*s %-*s %-*s %-*s %*s:%-*s %*s:%-*s",
		w[ssNetid], row[ssNetid], w[ssState], row[ssState], w[ssRecvQ], row[ssRecvQ], w[ssSendQ], row[ssSendQ],
		w[ssLocal], row[ssLocal], w[ssLocalPort], row[ssLocalPort], w[ssPeer], row[ssPeer], w[ssPeerPort], row[ssPeerPort])
	_, err := fmt.Fprintln(s.out, strings.TrimRight(line+after, " "))
	return err
}

func (s *ssShow) address(a, proto string) (ip, port string) {
	i := strings.LastIndexByte(a, ':')
	if i < 0 {
		return a, ""
	}
	ip, port = a[:i], a[i+1:]
	if !s.numeric {
		port = s.names.Name(port, proto)
	}
	return ip, port
}

// rest is what follows the columns.
func (s *ssShow) rest(e *ss.Entry) string {
	var line, below []string
	if s.process {
		line = append(line, s.owner)
	}
	if t := e.Timer; s.timer && t != nil {
		line = append(line, fmt.Sprintf("timer:(%s,%s,%d)", t.Kind, ssTime(t.Expires()), t.Retries))
	}
	if s.extended {
		line = append(line, ssExtended(e)...)
	}
	if m := e.Memory; s.memory && m != nil {
		below = append(below, fmt.Sprintf("skmem:(r%d,rb%d,t%d,tb%d,f%d,o%d)", m.Recv, m.RecvBuffer, m.Send, m.SendBuffer, m.SendFrames,
			m.OutOfOrder))
	}
	if s.info && e.Info != nil {
		below = append(below, ssInfo(e.Info)...)
	}
	text := ""
	if len(line) > 0 {
		text = " " + strings.Join(line, " ")
	}
	switch {
	case len(below) == 0:
	case s.oneline:
		text += " " + strings.Join(below, " ")
	default:
		text += "\n\t " + strings.Join(below, " ")
	}
	return text
}

func ssExtended(e *ss.Entry) (words []string) {
	if e.Shard >= 0 {
		words = append(words, fmt.Sprintf("shard:%d", e.Shard))
	}
	if e.Memory != nil || e.Info != nil || e.State == "ESTAB" {
		words = append(words, fmt.Sprintf("id:%d", e.ID))
	}
	if e.HalfOpen > 0 {
		words = append(words, fmt.Sprintf("half-open:%d", e.HalfOpen))
	}
	if e.Handler != "" {
		words = append(words, "handler:"+e.Handler)
	}
	return words
}

// ssTime is a time as ss shows that of a timer: 1min2sec, 3.4sec or 200ms.
func ssTime(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return fmt.Sprintf("%dmin%dsec", int(d.Minutes()), int(d.Seconds())%60)
	case d >= 10*time.Second:
		return fmt.Sprintf("%dsec", int(d.Seconds()))
	case d >= time.Second:
		return fmt.Sprintf("%.3gsec", d.Seconds())
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}
