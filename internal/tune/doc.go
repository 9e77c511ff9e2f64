// Package tune proposes settings of the system that suit an interface which xdpstack serves, applies them, and takes them back.
//
// Each setting is a knob: it can be read, written, and has a value that is proposed. What a device lacks is skipped and said. Before a
// setting is written, the value that it had goes into a state file, so an interrupted [Tuner.Apply] can be taken back too; [Tuner.Undo]
// goes through that file backwards, leaves alone what somebody else has set since, and removes it.
package tune
