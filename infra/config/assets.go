package config

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Least that makes sense.
const (
	minQuota = 1 << 20
	minGrace = time.Hour
	minEvery = time.Second
)

func assetSettings() []setting {
	return []setting{
		{flag: "quota", env: "KANVAS_QUOTA", help: "bytes of pictures and videos that a person may keep",
			set: func(c *Config, v string) error {
				n, err := strconv.ParseInt(v, 10, 64)
				if err != nil {
					return errors.New("is not a number of bytes")
				}
				c.Quota = n
				return nil
			}, show: func(c *Config) string { return strconv.FormatInt(c.Quota, 10) }},
		{flag: "file-names", env: "KANVAS_FILE_NAMES", help: "keep or drop: whether keys of pictures end in the file's name; they outlive a person who is forgotten",
			set: func(c *Config, v string) error {
				if v != "keep" && v != "drop" {
					return errors.New("must be keep or drop")
				}
				c.DropNames = v == "drop"
				return nil
			}, show: func(c *Config) string {
				if c.DropNames {
					return "drop"
				}
				return "keep"
			}},
		{flag: "asset-grace", env: "KANVAS_ASSET_GRACE", help: "how long a picture is kept that nothing shows, such as 720h",
			set: func(c *Config, v string) error {
				d, err := time.ParseDuration(v)
				if err != nil {
					return errors.New("is not a duration such as 720h")
				}
				c.AssetGrace = d
				return nil
			}, show: func(c *Config) string { return c.AssetGrace.String() }},
		{flag: "unused-every", env: "KANVAS_UNUSED_EVERY", help: "how often pictures that nothing shows are looked for, which reads the whole log; first after ten minutes, or that long",
			set: func(c *Config, v string) error {
				d, err := time.ParseDuration(v)
				if err != nil {
					return errors.New("is not a duration such as 24h")
				}
				c.UnusedEvery = d
				return nil
			}, show: func(c *Config) string { return c.UnusedEvery.String() }},
	}
}

func (c *Config) assetProblems() []error {
	var p []error
	if c.Quota < minQuota {
		p = append(p, fmt.Errorf("quota: %d is under %d bytes", c.Quota, minQuota))
	}
	if c.AssetGrace < minGrace {
		p = append(p, fmt.Errorf("asset-grace: %s is under %s", c.AssetGrace, minGrace))
	}
	if c.UnusedEvery < minEvery {
		p = append(p, fmt.Errorf("unused-every: %s is under %s", c.UnusedEvery, minEvery))
	}
	return p
}
