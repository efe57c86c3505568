/*
 * Bytes to struct insn: prefixes, opcode tables, ModRM, SIB, displacement, immediate. Pure: it
 * depends on nothing but the bytes and the mode (MODE_* of cpu.h).
 *
 * The opcode tables (decode_*.inc) are in the SDM's order and notation (SDM 2D appendix A.2
 * "Abbreviations"). Departures: "b w d q dq" sizes are spelled out where the manual leaves them to
 * the text; Ib_s is a sign-extended byte; O_1 is the constant one; Zv a register in the opcode.
 */
#ifndef VITRINE_CPU_DECODE_H
#define VITRINE_CPU_DECODE_H

#include "core/types.h"
#include "cpu/features.h"

/* Operand kinds. E: ModRM r/m, register or memory; G: ModRM reg; M: memory only; R: register only.
 */
enum operand {
    O_NONE,
    O_Eb,
    O_Ew,
    O_Ed,
    O_Eq,
    O_Ev,
    O_Ey,   /* y: 4 bytes, 8 with REX.W; v: also 2 */
    O_Ed_q, /* dword, but a 64-bit register destination stays y */
    O_Gb,
    O_Gw,
    O_Gd,
    O_Gq,
    O_Gv,
    O_Gy,
    O_Gz,
    O_Rd,
    O_Rv,
    O_Ry,    /* r/m that must be a register */
    O_Rv_Mw, /* register of operand size, or a word in memory */
    O_Ry_Mb,
    O_Ry_Mw, /* as PEXTRB, PINSRB, ...: register, or a narrower memory operand */
    O_M,
    O_Mb,
    O_Mw,
    O_Md,
    O_Mq,
    O_Mdq,
    O_Mv,
    O_My,
    O_Mp,
    O_Ma,
    O_Ms,
    O_Mt, /* Mt: 10 bytes; M: size by op */
    O_Ib,
    O_Ib_s,
    O_Ib2, /* a second immediate: into imm2 */
    O_Iw,
    O_Iz,
    O_Iv,
    O_1,
    O_Jb,
    O_Jz,
    O_Ap,
    O_Ob,
    O_Ov, /* moffs */
    O_AL,
    O_AX,
    O_rAX,
    O_eAX,
    O_rDX,
    O_CL,
    O_DX,
    O_Zb,
    O_Zv,
    O_Zy,
    O_Zv64, /* register in the low three opcode bits; Zv64: 64-bit default */
    O_Sw,
    O_ES,
    O_CS,
    O_SS,
    O_DS,
    O_FS,
    O_GS,
    O_Cy,
    O_Dy, /* control, debug register */
    O_Xb,
    O_Xv,
    O_Xz,
    O_Yb,
    O_Yv,
    O_Yz, /* string source and destination */
    O_Fv, /* flags, for PUSHF/POPF */
    O_By, /* general register VEX.vvvv */
    /* vectors: V reg, W r/m, H VEX.vvvv, U r/m register, L imm8[7:4] */
    O_Vss,
    O_Vsd,
    O_Vps,
    O_Vpd,
    O_Vdq,
    O_Vq,
    O_Vd,
    O_Vx,
    O_Wss,
    O_Wsd,
    O_Wps,
    O_Wpd,
    O_Wdq,
    O_Wq,
    O_Wd,
    O_Ww,
    O_Wx,
    O_Ups,
    O_Upd,
    O_Udq,
    O_Uq,
    O_Ux,
    O_Hss,
    O_Hsd,
    O_Hps,
    O_Hpd,
    O_Hdq,
    O_Hx,
    O_Lx,
    O_XMM0, /* the implicit one of BLENDV, PBLENDVB */
    O_Pq,
    O_Pd,
    O_Qq,
    O_Qd,
    O_Nq, /* MMX: reg, r/m, r/m register */
    O_ST0,
    O_STi,
};

/* Row attributes. */
enum {
    A_LOCK = BIT(0),  /* LOCK allowed when the destination is memory */
    A_I64 = BIT(1),   /* invalid in 64-bit mode */
    A_O64 = BIT(2),   /* only in 64-bit mode */
    A_D64 = BIT(3),   /* operand size defaults to 64 in 64-bit mode (66h still gives 16) */
    A_F64 = BIT(4),   /* operand size forced to 64 in 64-bit mode */
    A_BYTE = BIT(5),  /* operand size is one byte */
    A_MEM = BIT(6),   /* ModRM.mod must not be 3 */
    A_REG = BIT(7),   /* ModRM.mod must be 3 */
    A_MODRM = BIT(8), /* has ModRM though no operand says so */
    A_PROT = BIT(9),  /* #UD in real and virtual-8086 mode */
    A_REP = BIT(10),  /* REP/REPNE mean repetition */
    A_OP32 = BIT(11), /* operand size is 32, with REX.W 64, whatever 66h and CS.D say */
    A_NO66 =
        BIT(12), /* 66h, F2h or F3h before it: #UD (mandatory-prefix maps say so by their rows) */
    A_VEX = BIT(13), /* works on AVX state: checks CR4.OSXSAVE, XCR0, CR0.TS before anything else */
    A_W0 = BIT(14),  /* VEX.W must be 0 */
    A_SSE = BIT(15), /* checks CR0.EM, CR4.OSFXSR, CR0.TS before anything else */
    A_MMX = BIT(16), /* checks CR0.EM, CR0.TS and pending x87 exceptions */
    A_ALIGN = BIT(17),   /* 16-byte memory operand must be aligned */
    A_CPL0 = BIT(18),    /* #GP(0) unless CPL 0 */
    A_W1 = BIT(19),      /* VEX.W must be 1 */
    A_L0 = BIT(20),      /* VEX.L must be 0 */
    A_L1 = BIT(21),      /* VEX.L must be 1 */
    A_VSIB = BIT(22),    /* the index is a vector register (SDM 2A §2.3.12 "Vector SIB") */
    A_L1_AVX2 = BIT(23), /* VEX.L set makes it an AVX2 instruction */
    /* bits 24 to 26 are the x87 rows' */
    A_NEAR = BIT(27),      /* as A_F64, but on AMD's 66h makes it 16 bits: near branches */
    A_O64_INTEL = BIT(28), /* only in 64-bit mode on Intel's, in all modes on AMD's */
};

/* How a table slot is read. */
enum slot_kind {
    T_NONE, /* #UD */
    T_ROW,
    T_PREFIX,  /* a prefix byte, eaten before tables are consulted */
    T_GROUP,   /* sub[8] by ModRM.reg */
    T_MOD,     /* sub[2]: memory, register */
    T_RM,      /* sub[8] by ModRM.rm */
    T_PFX,     /* sub[4] by mandatory prefix: none, 66, F3, F2 */
    T_REXW,    /* sub[2] by REX.W, or VEX.W in 64-bit mode */
    T_VEXW,    /* sub[2] by VEX.W in every mode */
    T_VEXL,    /* sub[2] by VEX.L */
    T_FEATURE, /* sub[2] by whether there is the feature */
    T_MODE64,  /* sub[2]: 16/32-bit mode, 64-bit mode */
    T_OSIZE,   /* sub[3] by operand size 16, 32, 64 */
    T_MAP,     /* another 256-entry map (0F, 0F38, 0F3A) */
};

struct opcode {
    uint16_t op; /* enum op */
    uint8_t kind;
    uint8_t feature; /* enum cpu_feature, FEAT_NONE */
    uint8_t opnd[4];
    uint32_t attr;
    const struct opcode *sub;
};

/* Row of a table: op, up to four operands, attributes, feature. */
#define ROW(o, a, b, c, d, at, feat)                                                               \
    {                                                                                              \
        .op = OP_##o, .kind = T_ROW, .feature = FEAT_##feat, .opnd = {O_##a, O_##b, O_##c, O_##d}, \
        .attr = (at)                                                                               \
    }
#define SUB(k, table)               \
    {                               \
        .kind = (k), .sub = (table) \
    }

/* Every operation once (ops.def). */
enum op {
#define OP(id, mnemonic, handler, fr, fw, fu, attr) OP_##id,
#include "cpu/ops.def"
#undef OP
    OP_COUNT,
};

/* Attributes of an operation, for translator, tracer and tests. */
enum {
    OA_END = BIT(0),   /* ends a block */
    OA_LOAD = BIT(1),  /* reads its memory operand */
    OA_STORE = BIT(2), /* writes it */
    OA_RMW = OA_LOAD | OA_STORE,
    OA_STACK = BIT(3), /* pushes or pops */
    OA_FAULT = BIT(4), /* may fault apart from its memory operand */
    OA_IO = BIT(5),    /* may call a device */
    OA_STRING = BIT(6),
    OA_X87 = BIT(7),
    OA_FP = BIT(8), /* SSE/AVX floating point: reads and writes MXCSR */
};

struct op_info {
    const char *mnemonic;
    uint32_t flags_read, flags_written, flags_undefined; /* FLAG_* */
    uint32_t attr;
};
extern const struct op_info op_info[OP_COUNT];

struct cpu;
struct insn;
/* Executes one instruction and goes on (exec.h). Returns the next instruction to run, or NULL. */
typedef const struct insn *insn_fn(struct cpu *cpu, const struct insn *u);

enum { PFX_NONE, PFX_66, PFX_F3, PFX_F2 }; /* the mandatory prefix that counts */

/* A decoded instruction: fixed size, position-independent. */
struct insn {
    insn_fn *fn;
    const struct opcode *row;
    int64_t disp; /* displacement; for RIP-relative operands relative to the block's start (REG_PC);
                     for relative branches the target relative to the block's start */
    uint64_t imm; /* sign-extended as the row says; Ap: offset */
    uint16_t op;
    uint16_t off;  /* of its first byte from the block's start */
    uint8_t len;   /* in bytes, 1..15 */
    uint8_t index; /* within its block, in instructions */
    uint8_t osize; /* operand size in bytes: 1, 2, 4, 8 */
    uint8_t asize; /* address size in bytes: 2, 4, 8 */
    uint8_t modrm;
    uint8_t reg; /* ModRM.reg with REX.R (or the opcode's register with REX.B for Z operands) */
    uint8_t rm;  /* ModRM.rm with REX.B when mod is 3 */
    uint8_t base, xindex; /* of a memory operand: REG_*; REG_ZERO when absent */
    uint8_t scale : 2;    /* ... as a shift */
    uint8_t seg : 4;  /* SEG_* of the memory operand; SEG_FLAT where the base is known to be 0 */
    uint8_t pfx : 2;  /* PFX_* */
    uint8_t rex;      /* REX byte, 0 when there is none (bits WRXB; VEX sets them too) */
    uint8_t vvvv, vl; /* VEX: second source; vector length 16, 32, 64 in bytes */
    uint8_t imm2;     /* second immediate (Ib2); index register of VSIB; register in imm8[7:4] */
    uint8_t a, b;     /* register operands as the bound handler wants them (bind.c) */
    union {
        uint16_t sel;    /* Ap: selector */
        uint16_t opcode; /* others: its last byte, and the map in bits 15:8: 1 is 0F, 2 0F 38,
                            3 0F 3A, as VEX numbers them */
    };
    uint16_t aaa : 3, zb : 2; /* EVEX: mask register; zeroing (bit 0), broadcast/rounding (bit 1) */
    bool mem : 1;             /* has a memory operand (mod is not 3) */
    bool lock : 1;
    bool rep : 1;   /* F3 ... */
    bool repne : 1; /* ... or F2, whichever came last */
    bool has66 : 1;
    bool seg_ovr : 1;        /* a segment prefix was given */
    bool fused : 1;          /* runs its successor too (bind.c) */
    bool vex : 1, vex_w : 1; /* has a VEX prefix; its W bit */
};
_Static_assert(sizeof(struct insn) == 56, "millions of them are kept");

#define MAX_INSN_BYTES 15

enum decode_status {
    DECODE_OK,
    DECODE_SHORT,    /* ran out of bytes: more are needed */
    DECODE_UD,       /* no such instruction (insn->op is OP_UD, len set) */
    DECODE_TOO_LONG, /* over 15 bytes: #GP (len: how many of them were looked at) */
};

/*
 * Decodes one instruction from at most avail bytes. mode: MODE_*. feat gates rows. off: where it
 * lies in its block, for position-independent displacements. Fills everything but fn.
 */
enum decode_status decode(struct insn *u, const uint8_t *bytes, size_t avail, uint32_t mode,
                          const struct cpu_features *feat, unsigned off);

#endif
