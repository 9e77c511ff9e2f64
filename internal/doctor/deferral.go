package doctor

import (
	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/deferral"
)

// leftDeferred reports whether interrupts of an interface still wait for a process that polled it and was killed.
func leftDeferred(info *afxdp.Info) bool {
	p := deferral.At(info.Name, info.Index, info.MAC)
	defer p.Close()
	return deferral.Left(&p)
}

// judgeDeferral is about interrupts that were left deferred.
func judgeDeferral(info *afxdp.Info) Finding {
	return Finding{
		Subject: info.Name + " interrupts", Level: Warn,
		Fact: "deferred by a process that polled busily and was killed: packets wait for a timer",
		Cure: "the next xdpstack that opens " + info.Name + " puts back what was before",
	}
}
