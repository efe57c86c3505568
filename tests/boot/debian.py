"""Debian with systemd as the disks of scripts/make-guest have it: logging in, and commands."""
import harness

LOGIN = r"login: "
SHELL = r"root@\S+:\S*# "
PROMPT = r"[\r\n]root@guest:# "


class Guest(harness.Case):
    def boot(self, image, *args):
        v = self.start("-m", "1G", "-nographic", *args, "-drive", f"file={image},format=raw")
        self.log_in(v)
        return v

    def log_in(self, v):
        v.expect("GNU GRUB")
        v.expect(LOGIN, 600)
        v.send("root\n")
        v.expect("Password: ")
        v.send("root\n")
        v.expect(SHELL, 120)
        # Long lines unbroken, and marks around what a command prints: bash redraws its line as it likes.
        v.send("stty cols 999; PS1='root@guest:# '; bind 'set enable-bracketed-paste off'\n")
        v.expect(PROMPT)

    def command(self, v, line, seconds=harness.LIMIT):
        v.send(line + "; echo status-$?\n")
        status = v.expect(r"status-(\d+)\r*\n", seconds).group(1)
        text = harness.plain(v.before).replace("\r", "").split("\n", 1)[-1]
        self.assertEqual(b"0", status, text)
        v.expect("root@guest:# ")
        return text
