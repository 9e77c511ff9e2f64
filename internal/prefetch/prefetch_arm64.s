#include "textflag.h"

// func lines(addresses *uintptr, count, n int)
TEXT ·lines(SB), NOSPLIT, $0-24
	MOVD addresses+0(FP), R0
	MOVD count+8(FP), R1
	MOVD n+16(FP), R2

object:
	MOVD.P 8(R0), R3
	MOVD   R2, R4

line:
	PRFM (R3), PLDL1KEEP
	ADD  $64, R3
	SUBS $1, R4
	BNE  line
	SUBS $1, R1
	BNE  object
	RET
