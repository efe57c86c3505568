/* The opcode maps and groups (SDM 2D appendix A), as data. What is absent is #UD. */
#include "cpu/cpu.h"
#include "cpu/decode_tables.h"

#define GRP1(E, I, at)                                       \
    {                                                        \
        ROW(ADD, E, I, NONE, NONE, A_LOCK | (at), NONE),     \
            ROW(OR, E, I, NONE, NONE, A_LOCK | (at), NONE),  \
            ROW(ADC, E, I, NONE, NONE, A_LOCK | (at), NONE), \
            ROW(SBB, E, I, NONE, NONE, A_LOCK | (at), NONE), \
            ROW(AND, E, I, NONE, NONE, A_LOCK | (at), NONE), \
            ROW(SUB, E, I, NONE, NONE, A_LOCK | (at), NONE), \
            ROW(XOR, E, I, NONE, NONE, A_LOCK | (at), NONE), \
            ROW(CMP, E, I, NONE, NONE, (at), NONE),          \
    }
static const struct opcode grp1_Eb_Ib[8] = GRP1(Eb, Ib, A_BYTE);
static const struct opcode grp1_82[8] = GRP1(Eb, Ib, A_BYTE | A_I64);
static const struct opcode grp1_Ev_Iz[8] = GRP1(Ev, Iz, 0);
static const struct opcode grp1_Ev_Ib[8] = GRP1(Ev, Ib_s, 0);
static const struct opcode grp1a[8] = {ROW(POP, Ev, NONE, NONE, NONE, A_D64, NONE)};

/* /6 is SHL's undocumented twin on every x86. */
#define GRP2(E, C, at)                                                                  \
    {                                                                                   \
        ROW(ROL, E, C, NONE, NONE, at, NONE), ROW(ROR, E, C, NONE, NONE, at, NONE),     \
            ROW(RCL, E, C, NONE, NONE, at, NONE), ROW(RCR, E, C, NONE, NONE, at, NONE), \
            ROW(SHL, E, C, NONE, NONE, at, NONE), ROW(SHR, E, C, NONE, NONE, at, NONE), \
            ROW(SHL, E, C, NONE, NONE, at, NONE), ROW(SAR, E, C, NONE, NONE, at, NONE), \
    }
static const struct opcode grp2_Eb_Ib[8] = GRP2(Eb, Ib, A_BYTE);
static const struct opcode grp2_Ev_Ib[8] = GRP2(Ev, Ib, 0);
static const struct opcode grp2_Eb_1[8] = GRP2(Eb, 1, A_BYTE);
static const struct opcode grp2_Ev_1[8] = GRP2(Ev, 1, 0);
static const struct opcode grp2_Eb_CL[8] = GRP2(Eb, CL, A_BYTE);
static const struct opcode grp2_Ev_CL[8] = GRP2(Ev, CL, 0);

#define GRP3(E, I, at)                                                                          \
    {                                                                                           \
        ROW(TEST, E, I, NONE, NONE, at, NONE), ROW(TEST, E, I, NONE, NONE, at, NONE),           \
            ROW(NOT, E, NONE, NONE, NONE, A_LOCK | (at), NONE),                                 \
            ROW(NEG, E, NONE, NONE, NONE, A_LOCK | (at), NONE),                                 \
            ROW(MUL, E, NONE, NONE, NONE, at, NONE), ROW(IMUL1, E, NONE, NONE, NONE, at, NONE), \
            ROW(DIV, E, NONE, NONE, NONE, at, NONE), ROW(IDIV, E, NONE, NONE, NONE, at, NONE),  \
    }
static const struct opcode grp3_Eb[8] = GRP3(Eb, Ib, A_BYTE);
static const struct opcode grp3_Ev[8] = GRP3(Ev, Iz, 0);
static const struct opcode grp4[8] = {
    ROW(INC, Eb, NONE, NONE, NONE, A_LOCK | A_BYTE, NONE),
    ROW(DEC, Eb, NONE, NONE, NONE, A_LOCK | A_BYTE, NONE),
};
static const struct opcode grp5[8] = {
    ROW(INC, Ev, NONE, NONE, NONE, A_LOCK, NONE),   ROW(DEC, Ev, NONE, NONE, NONE, A_LOCK, NONE),
    ROW(CALLN, Ev, NONE, NONE, NONE, A_NEAR, NONE), ROW(CALLF, Mp, NONE, NONE, NONE, A_MEM, NONE),
    ROW(JMPN, Ev, NONE, NONE, NONE, A_NEAR, NONE),  ROW(JMPF, Mp, NONE, NONE, NONE, A_MEM, NONE),
    ROW(PUSH, Ev, NONE, NONE, NONE, A_D64, NONE),
};
static const struct opcode grp6[8] = {
    ROW(SLDT, Rv_Mw, NONE, NONE, NONE, A_PROT, NONE),
    ROW(STR, Rv_Mw, NONE, NONE, NONE, A_PROT, NONE),
    ROW(LLDT, Ew, NONE, NONE, NONE, A_PROT | A_CPL0, NONE),
    ROW(LTR, Ew, NONE, NONE, NONE, A_PROT | A_CPL0, NONE),
    ROW(VERR, Ew, NONE, NONE, NONE, A_PROT, NONE),
    ROW(VERW, Ew, NONE, NONE, NONE, A_PROT, NONE),
};
static const struct opcode grp7_mem[8] = {
    ROW(SGDT, Ms, NONE, NONE, NONE, 0, NONE),      ROW(SIDT, Ms, NONE, NONE, NONE, 0, NONE),
    ROW(LGDT, Ms, NONE, NONE, NONE, A_CPL0, NONE), ROW(LIDT, Ms, NONE, NONE, NONE, A_CPL0, NONE),
    ROW(SMSW, Rv_Mw, NONE, NONE, NONE, 0, NONE),   {0},
    ROW(LMSW, Ew, NONE, NONE, NONE, A_CPL0, NONE), ROW(INVLPG, Mb, NONE, NONE, NONE, A_CPL0, NONE),
};
static const struct opcode grp7_reg1[8] = {
    ROW(MONITOR, NONE, NONE, NONE, NONE, A_NO66, MONITOR),
    ROW(MWAIT, NONE, NONE, NONE, NONE, A_NO66, MONITOR),
    ROW(CLAC, NONE, NONE, NONE, NONE, A_NO66, SMAP),
    ROW(STAC, NONE, NONE, NONE, NONE, A_NO66, SMAP),
};
static const struct opcode grp7_reg2[8] = {
    ROW(XGETBV, NONE, NONE, NONE, NONE, A_NO66, XSAVE),
    ROW(XSETBV, NONE, NONE, NONE, NONE, A_NO66, XSAVE),
};
static const struct opcode grp7_reg5[8] = {
    ROW(SERIALIZE, NONE, NONE, NONE, NONE, A_NO66, SERIALIZE),
    {0},
    {0},
    {0},
    {0},
    {0},
    ROW(RDPKRU, NONE, NONE, NONE, NONE, A_NO66, PKU),
    ROW(WRPKRU, NONE, NONE, NONE, NONE, A_NO66, PKU),
};
static const struct opcode pfx_0f01_fc[4] = {
    ROW(CLZERO, NONE, NONE, NONE, NONE, 0, CLZERO),
    ROW(CLZERO, NONE, NONE, NONE, NONE, 0, CLZERO),
};
static const struct opcode grp7_reg7[8] = {
    ROW(SWAPGS, NONE, NONE, NONE, NONE, A_O64 | A_CPL0, LM),
    ROW(RDTSCP, NONE, NONE, NONE, NONE, 0, RDTSCP),
    {0},
    {0},
    SUB(T_PFX, pfx_0f01_fc),
};
static const struct opcode grp7_reg[8] = {
    {0},
    SUB(T_RM, grp7_reg1),
    SUB(T_RM, grp7_reg2),
    {0},
    ROW(SMSW, Rv_Mw, NONE, NONE, NONE, 0, NONE),
    SUB(T_RM, grp7_reg5),
    ROW(LMSW, Ew, NONE, NONE, NONE, A_CPL0, NONE),
    SUB(T_RM, grp7_reg7),
};
static const struct opcode grp7[2] = {SUB(T_GROUP, grp7_mem), SUB(T_GROUP, grp7_reg)};
static const struct opcode grp8[8] = {
    {0},
    {0},
    {0},
    {0},
    ROW(BT, Ev, Ib, NONE, NONE, 0, NONE),
    ROW(BTS, Ev, Ib, NONE, NONE, A_LOCK, NONE),
    ROW(BTR, Ev, Ib, NONE, NONE, A_LOCK, NONE),
    ROW(BTC, Ev, Ib, NONE, NONE, A_LOCK, NONE),
};
static const struct opcode grp9_cx[2] = {
    ROW(CMPXCHG8B, Mq, NONE, NONE, NONE, A_LOCK, CX8),
    ROW(CMPXCHG16B, Mdq, NONE, NONE, NONE, A_LOCK, CX16),
};
static const struct opcode pfx_0fc7_3[4] = {ROW(XRSTORS, M, NONE, NONE, NONE, 0, XSAVES)};
static const struct opcode pfx_0fc7_4[4] = {ROW(XSAVEC, M, NONE, NONE, NONE, 0, XSAVEC)};
static const struct opcode pfx_0fc7_5[4] = {ROW(XSAVES, M, NONE, NONE, NONE, 0, XSAVES)};
static const struct opcode grp9_mem[8] = {
    {0},
    SUB(T_REXW, grp9_cx),
    {0},
    SUB(T_PFX, pfx_0fc7_3),
    SUB(T_PFX, pfx_0fc7_4),
    SUB(T_PFX, pfx_0fc7_5),
};
static const struct opcode pfx_0fc7_6[4] = {
    ROW(RDRAND, Rv, NONE, NONE, NONE, 0, RDRAND),
    ROW(RDRAND, Rv, NONE, NONE, NONE, 0, RDRAND),
};
static const struct opcode pfx_0fc7_7[4] = {
    ROW(RDSEED, Rv, NONE, NONE, NONE, 0, RDSEED),
    ROW(RDSEED, Rv, NONE, NONE, NONE, 0, RDSEED),
    ROW(RDPID, Ry, NONE, NONE, NONE, A_OP32, RDPID),
};
/* F3 before WBINVD is ignored by CPUs that do not have WBNOINVD. */
static const struct opcode feature_wbnoinvd[2] = {
    ROW(WBINVD, NONE, NONE, NONE, NONE, A_CPL0, NONE),
    ROW(WBNOINVD, NONE, NONE, NONE, NONE, A_CPL0, WBNOINVD),
};
static const struct opcode pfx_0f09[4] = {
    ROW(WBINVD, NONE, NONE, NONE, NONE, A_CPL0, NONE),
    ROW(WBINVD, NONE, NONE, NONE, NONE, A_CPL0, NONE),
    {.kind = T_FEATURE, .feature = FEAT_WBNOINVD, .sub = feature_wbnoinvd},
    ROW(WBINVD, NONE, NONE, NONE, NONE, A_CPL0, NONE),
};
static const struct opcode grp9_reg[8] = {
    {0}, {0}, {0}, {0}, {0}, {0}, SUB(T_PFX, pfx_0fc7_6), SUB(T_PFX, pfx_0fc7_7),
};
static const struct opcode grp9[2] = {SUB(T_GROUP, grp9_mem), SUB(T_GROUP, grp9_reg)};
static const struct opcode grp11_Eb[8] = {ROW(MOV, Eb, Ib, NONE, NONE, A_BYTE, NONE)};
static const struct opcode grp11_Ev[8] = {ROW(MOV, Ev, Iz, NONE, NONE, 0, NONE)};

static const struct opcode mode_63[2] = {
    ROW(ARPL, Ew, Gw, NONE, NONE, A_PROT, NONE),
    ROW(MOVSXD, Gv, Ed, NONE, NONE, 0, NONE),
};
static const struct opcode mode_9e[2] = {
    ROW(SAHF, NONE, NONE, NONE, NONE, 0, NONE),
    ROW(SAHF, NONE, NONE, NONE, NONE, 0, LAHF_LM),
};
static const struct opcode mode_9f[2] = {
    ROW(LAHF, NONE, NONE, NONE, NONE, 0, NONE),
    ROW(LAHF, NONE, NONE, NONE, NONE, 0, LAHF_LM),
};
static const struct opcode pfx_0fb8[4] = {
    {0},
    {0},
    ROW(POPCNT, Gv, Ev, NONE, NONE, 0, POPCNT),
    {0},
};

/* F3 before BSF and BSR is ignored by CPUs that do not have TZCNT and LZCNT. */
#define OR_OLD(f, older, newer)                                                       \
    {                                                                                 \
        ROW(older, Gv, Ev, NONE, NONE, 0, NONE), ROW(newer, Gv, Ev, NONE, NONE, 0, f) \
    }
static const struct opcode feature_tzcnt[2] = OR_OLD(BMI1, BSF, TZCNT);
static const struct opcode feature_lzcnt[2] = OR_OLD(LZCNT, BSR, LZCNT);
#undef OR_OLD
static const struct opcode pfx_0fbc[4] = {
    ROW(BSF, Gv, Ev, NONE, NONE, 0, NONE),
    ROW(BSF, Gv, Ev, NONE, NONE, 0, NONE),
    {.kind = T_FEATURE, .feature = FEAT_BMI1, .sub = feature_tzcnt},
    ROW(BSF, Gv, Ev, NONE, NONE, 0, NONE),
};
static const struct opcode pfx_0fbd[4] = {
    ROW(BSR, Gv, Ev, NONE, NONE, 0, NONE),
    ROW(BSR, Gv, Ev, NONE, NONE, 0, NONE),
    {.kind = T_FEATURE, .feature = FEAT_LZCNT, .sub = feature_lzcnt},
    ROW(BSR, Gv, Ev, NONE, NONE, 0, NONE),
};

#include "cpu/decode_simd_groups.inc"
#include "cpu/decode_crypto_groups.inc"
#include "cpu/decode_x87.inc"

/* Designated rows may name a slot twice only on purpose; none does. */
static const struct opcode map_0f38[256] = {
#include "cpu/decode_0f38.inc"
};
static const struct opcode map_0f3a[256] = {
#include "cpu/decode_0f3a.inc"
};
static const struct opcode map_0f[256] = {
#define EIGHT(base, R)                                                                          \
    [base] = R, [base + 1] = R, [base + 2] = R, [base + 3] = R, [base + 4] = R, [base + 5] = R, \
    [base + 6] = R, [base + 7] = R
#include "cpu/decode_0f.inc"
#include "cpu/decode_0f_simd.inc"
#undef EIGHT
};
const struct opcode opcode_map[256] = {
#include "cpu/decode_1byte.inc"
};
/* VEX maps 0F, 0F38, 0F3A: by mandatory prefix and opcode byte. */
#define NP(op)  [PFX_NONE << 8 | (op)]
#define P66(op) [PFX_66 << 8 | (op)]
#define PF3(op) [PFX_F3 << 8 | (op)]
#define PF2(op) [PFX_F2 << 8 | (op)]
#include "cpu/decode_vex_groups.inc"
static const struct opcode vex_0f[4 * 256] = {
#include "cpu/decode_vex_0f.inc"
};
static const struct opcode vex_0f38[4 * 256] = {
#include "cpu/decode_vex_0f38.inc"
};
static const struct opcode vex_0f3a[4 * 256] = {
#include "cpu/decode_vex_0f3a.inc"
};
const struct opcode *const vex_maps[3] = {vex_0f, vex_0f38, vex_0f3a};

const struct opcode opcode_ud = ROW(UD, NONE, NONE, NONE, NONE, 0, NONE);

const struct op_info op_info[OP_COUNT] = {
#define OP(id, mnemonic, handler, fr, fw, fu, attr) [OP_##id] = {mnemonic, fr, fw, fu, attr},
#include "cpu/ops.def"
#undef OP
};
