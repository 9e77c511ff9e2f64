package guest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Kind says what a record of the report holds.
type Kind byte

// The report is a sequence of records: the kind, the length of what follows as four bytes, least significant first, and that.
const (
	KindBooted Kind = 'b' // Booted
	KindStep   Kind = 's' // a step begins; its number as text
	KindOutput Kind = 'o' // output of the step, standard output and error together
	KindEnded  Kind = 'e' // Ended
	KindFailed Kind = 'f' // the guest cannot go on: the reason as text
	KindDone   Kind = 'd' // all steps ran
)

const (
	headerLen = 5
	maxRecord = 1 << 20 // bytes; a longer record is an error, not an allocation
)

// reporter writes records. Its methods may be called from several goroutines.
type reporter struct {
	mu  sync.Mutex
	out io.Writer
}

// record writes one record. A report that nobody takes any more leaves nothing to do.
func (r *reporter) record(kind Kind, payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := make([]byte, headerLen, headerLen+len(payload))
	b[0] = byte(kind)
	binary.LittleEndian.PutUint32(b[1:], uint32(len(payload)))
	_, _ = r.out.Write(append(b, payload...))
}

// Write makes a record of output.
func (r *reporter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxRecord)
		r.record(KindOutput, rest[:n])
		rest = rest[n:]
	}
	return len(p), nil
}

// Record is one record of a report.
type Record struct {
	Kind    Kind
	Payload []byte
}

// ReadRecord reads the next record. The end of the report between two records is io.EOF, anywhere else io.ErrUnexpectedEOF.
func ReadRecord(r io.Reader) (Record, error) {
	var header [headerLen]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return Record{}, err
	}
	n := binary.LittleEndian.Uint32(header[1:])
	if n > maxRecord {
		return Record{}, fmt.Errorf("guest: a record of %d bytes, more than %d", n, maxRecord)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return Record{}, io.ErrUnexpectedEOF
	}
	return Record{Kind: Kind(header[0]), Payload: payload}, nil
}

// Decode reads a record's payload that is JSON.
func (r Record) Decode(v any) error {
	if err := json.Unmarshal(r.Payload, v); err != nil {
		return fmt.Errorf("guest: record %q: %w", r.Kind, err)
	}
	return nil
}
