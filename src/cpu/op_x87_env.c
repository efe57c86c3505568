/*
 * x87 environment and state images: FNSTENV, FLDENV, FNSAVE, FRSTOR in their four formats.
 * SDM 1 §8.1.10 "Saving the x87 FPU's State", figures 8-9 to 8-12.
 */
#include "cpu/op_x87.h"
#include "cpu/handlers.h"

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned tag_of(const union fpreg *r)
{
    const unsigned exponent = r->sexp & 0x7fff;
    if (exponent == 0 && r->mant == 0)
        return TAG_ZERO;
    return exponent == 0 || exponent == 0x7fff || !(r->mant >> 63) ? TAG_SPECIAL : TAG_VALID;
}

uint16_t x87_tag_word(const struct cpu *cpu)
{
    unsigned tags = 0;
    for (unsigned i = 0; i < 8; i++) {
        const bool used = (cpu->fpu.used >> i) & 1;
        tags |= (used ? tag_of(&cpu->fpu.r[i]) : TAG_EMPTY) << (2 * i);
    }
    return (uint16_t)tags;
}

uint8_t x87_used_from_tags(uint16_t tags)
{
    uint8_t used = 0;
    for (unsigned i = 0; i < 8; i++)
        if (((tags >> (2 * i)) & 3) != TAG_EMPTY)
            used |= (uint8_t)(1u << i);
    return used;
}

/* Protected-mode formats hold selector and offset, real-mode ones a linear address. */
static bool protected_format(const struct cpu *cpu)
{
    return cpu_prot(cpu) && !cpu_vm86(cpu);
}

static unsigned env_size(const struct insn *u)
{
    return u->osize == 2 ? 14 : 28;
}

/*
 *            protected, 32 bit          real, 32 bit                      protected, 16   real, 16
 *  pointer   FIP                        FIP 15:0                          FIP             FIP 15:0
 *  its rest  FCS | FOP << 16            FIP 31:16 at bit 12 | FOP         FCS             FIP 19:16
 * at bit 12 | FOP data      FDP                        FDP 15:0                          FDP FDP
 * 15:0 its rest  FDS                        FDP 31:16 at bit 12               FDS             FDP
 * 19:16 at bit 12 In 32-bit formats the upper halves of 16-bit fields are ones, where a field
 * reaches no further.
 */
static void write_env(const struct cpu *cpu, const struct insn *u, uint8_t *image)
{
    const struct fpu *f = &cpu->fpu;
    const uint16_t words[3] = {f->cw, f->sw, x87_tag_word(cpu)};
    const bool prot = protected_format(cpu);
    const uint32_t ip = (uint32_t)(prot ? f->fip : f->fip + ((uint32_t)f->fcs << 4));
    const uint32_t dp = (uint32_t)(prot ? f->fdp : f->fdp + ((uint32_t)f->fds << 4));
    if (u->osize == 2) {
        for (unsigned i = 0; i < 3; i++)
            st16(image + 2 * i, words[i]);
        st16(image + 6, (uint16_t)ip);
        st16(image + 8, prot ? f->fcs : (uint16_t)((ip >> 16) << 12 | f->fop));
        st16(image + 10, (uint16_t)dp);
        st16(image + 12, prot ? f->fds : (uint16_t)((dp >> 16) << 12));
        return;
    }
    for (unsigned i = 0; i < 3; i++)
        st32(image + 4 * i, 0xffff0000 | words[i]);
    if (prot) {
        st32(image + 12, ip);
        st32(image + 16, f->fcs | (uint32_t)f->fop << 16);
        st32(image + 20, dp);
        st32(image + 24, 0xffff0000 | f->fds);
    } else {
        st32(image + 12, 0xffff0000 | (ip & 0xffff));
        st32(image + 16, (ip >> 16) << 12 | f->fop);
        st32(image + 20, 0xffff0000 | (dp & 0xffff));
        st32(image + 24, (dp >> 16) << 12);
    }
}

static void read_env(struct cpu *cpu, const struct insn *u, const uint8_t *image)
{
    struct fpu *f = &cpu->fpu;
    const bool prot = protected_format(cpu), wide = u->osize != 2;
    const unsigned step = wide ? 4 : 2;
    f->cw = fp_valid_cw(ld16(image));
    f->sw = ld16(image + step);
    f->used = x87_used_from_tags(ld16(image + 2 * step));
    const uint32_t rest_ip = (uint32_t)ld_le(image + 4 * step, step);
    const uint32_t rest_dp = (uint32_t)ld_le(image + 6 * step, step);
    if (prot) {
        f->fip = ld_le(image + 3 * step, step);
        f->fcs = (uint16_t)rest_ip;
        f->fdp = ld_le(image + 5 * step, step);
        f->fds = (uint16_t)rest_dp;
        f->fop = (rest_ip >> 16) & 0x7ff; /* 0 from the 16-bit format, which lacks it */
    } else {
        const uint32_t upper = wide ? 0xffff : 0xf;
        f->fip = ld16(image + 3 * step) | ((rest_ip >> 12) & upper) << 16;
        f->fdp = ld16(image + 5 * step) | ((rest_dp >> 12) & upper) << 16;
        f->fcs = f->fds = 0;
        f->fop = rest_ip & 0x7ff;
    }
    x87_update_es(cpu);
    fp_x87_changed(cpu);
}

static gla_t image_linear(struct cpu *cpu, const struct insn *u, unsigned n, enum access acc)
{
    const gla_t lin = ea_linear(cpu, u, n, acc);
    x87_check_alignment(cpu, lin, u->osize == 2 ? 2 : 4);
    return lin;
}

OP(op_fnstenv)
{
    uint8_t image[28];
    write_env(cpu, u, image);
    const unsigned n = env_size(u);
    store_bytes(cpu, image_linear(cpu, u, n, ACC_W), image, n);
    cpu->fpu.cw |= FSW_EXC;
    x87_update_es(cpu);
    fp_x87_changed(cpu);
}

OP(op_fldenv)
{
    x87_ready(cpu);
    uint8_t image[28];
    const unsigned n = env_size(u);
    load_bytes(cpu, image_linear(cpu, u, n, ACC_R), image, n);
    read_env(cpu, u, image);
}

OP(op_fnsave)
{
    uint8_t image[28 + 80];
    const unsigned n = env_size(u);
    write_env(cpu, u, image);
    for (unsigned i = 0; i < 8; i++)
        memcpy(image + n + 10 * i, x87_st(cpu, i)->bytes, 10);
    store_bytes(cpu, image_linear(cpu, u, n + 80, ACC_W), image, n + 80);
    x87_init(cpu);
    x87_update_es(cpu);
}

OP(op_frstor)
{
    x87_ready(cpu);
    uint8_t image[28 + 80];
    const unsigned n = env_size(u);
    load_bytes(cpu, image_linear(cpu, u, n + 80, ACC_R), image, n + 80);
    read_env(cpu, u, image);
    for (unsigned i = 0; i < 8; i++)
        memcpy(x87_st(cpu, i)->bytes, image + n + 10 * i, 10);
}
