package doctor

import (
	"fmt"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/rss"
)

// readHash asks how the interface spreads packets over its queues.
func readHash(info *afxdp.Info) (*rss.Table, error) {
	r, err := rss.Open(info.Name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.Table()
}

func judgeHash(info *afxdp.Info, table *rss.Table, err error) Finding {
	f := Finding{Subject: info.Name + " hash", Level: OK}
	switch {
	case err != nil && info.RxQueues == 1:
		f.Fact = "does not matter with one queue"
	case err != nil:
		f.Level, f.Fact = Note, err.Error()
		f.Cure = "it works: segments of outgoing connections that come to another queue are copied to the right shard"
	default:
		f.Fact = fmt.Sprintf("Toeplitz, table of %d entries: answers to outgoing connections come to the shard that dialed",
			len(table.Queues()))
	}
	return f
}
