package afxdp

import "github.com/xdpstack/xdpstack/bpf"

// bare reports whether the queues can do without an XDP program of ours, and makes the options fit: who only sends copies needs none.
// Drivers with zero-copy send only while a program is attached (igb, ixgbe and i40e answer ENXIO otherwise), so there one is attached,
// unless somebody else's is there: then frames are copied rather than that it is in the way.
func (i *Info) bare(o *Options) bool {
	if !o.SendOnly || o.Driver != DriverNative || o.Mode == ModeZeroCopy {
		return false
	}
	if o.Mode == ModeAuto && i.Program == 0 && i.obstacle(o, o.Attach, runningRelease()) == nil {
		return false
	}
	o.Mode, o.RxHints, o.AdaptiveFill = ModeCopy, false, false
	return true
}

// openBare says what the queues have in common that have no program, in place of loadProgram.
func (i *Interface) openBare(at place, opt *Options) {
	i.mode.Driver, i.mode.NoProgram, i.mode.Attach = opt.Driver, true, bpf.AttachNative
	i.mode.MultiBuffer, i.mode.NoMultiBuffer = wantsMulti(at, i.info.MTU, opt)
}
