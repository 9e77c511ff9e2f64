package stack

import (
	"runtime"
	"time"
)

// command is one message to a shard: a function to run there, or a connection whose application has asked for something. Those of
// the data path carry no allocation.
type command struct {
	conn *TCPConn
	call func(*Shard)
}

// request is something that an application's goroutine asks of the shard of its connection. What is asked before the shard gets
// to it goes with one command.
type request uint32

const (
	askAccepted     request = 1 << iota // Accept has returned the connection
	askSYN                              // Read waits on a connection whose SYN waits for a Write
	askCreditLazily                     // Read has freed frames and window, which may wait until the shard wakes for another reason
	askCredit                           // the same, and the peer waits for it
	askWrite                            // Write has left something
	askCloseWrite
	askClose
	askAbort

	askLazily = askAccepted | askCreditLazily
)

// commandBudget bounds the commands of one turn, so that busy applications cannot keep a shard from its packets.
const commandBudget = 512

// commands runs what the applications' goroutines have asked for.
func (s *Shard) commands() bool {
	n := 0
	for ; n < commandBudget; n++ {
		cmd, ok := s.mailbox.Pop()
		if !ok {
			break
		}
		if cmd.conn != nil {
			cmd.conn.serve()
			continue
		}
		cmd.call(s)
		s.woke = true
	}
	s.stats.Commands += uint64(n)
	return n > 0
}

// ask has the shard do something for the connection. It reports false when the shard has stopped.
func (t *TCPConn) ask(what request) bool {
	s := t.shard
	if t.asked.Or(uint32(what)) == 0 && !s.postLazy(command{conn: t}) {
		return false
	}
	// Whoever has asked meanwhile has relied on that command, which may not have been sent when he looked whether the shard sleeps.
	if request(t.asked.Load())&^askLazily != 0 {
		s.wake()
	}
	return true
}

// post sends a command and wakes the shard if it sleeps. A full mailbox is back-pressure: the caller waits. It reports false when
// the shard has stopped.
func (s *Shard) post(cmd command) bool {
	if !s.postLazy(cmd) {
		return false
	}
	s.wake()
	return true
}

// postLazy sends a command that may wait until the shard wakes for another reason.
func (s *Shard) postLazy(cmd command) bool {
	for try := 0; !s.mailbox.Push(cmd); try++ {
		s.wake()
		select {
		case <-s.done:
			return false
		default:
		}
		if try < 100 {
			runtime.Gosched()
		} else {
			time.Sleep(50 * time.Microsecond)
		}
	}
	return true
}

// call runs fn on the shard and waits for it. On a stack that is not started the caller is the one who drives the shards, and fn
// runs at once. It reports false when the shard has stopped before fn could run.
func (s *Shard) call(fn func(*Shard)) bool {
	if !s.stack.started.Load() {
		fn(s)
		return true
	}
	ran := make(chan struct{})
	if !s.post(command{call: func(s *Shard) { fn(s); close(ran) }}) {
		return false
	}
	select {
	case <-ran:
		return true
	case <-s.done:
		select {
		case <-ran:
			return true
		default:
			return false
		}
	}
}
