# This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not
# distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.

package Bugzilla::Extension::GateFeed::Params;

use 5.14.0;
use strict;
use warnings;

our $sortkey = 1500;

sub get_param_list {
  return (
    {name => 'gatefeed_group',         type => 't', default => 'gate-feed'},
    {name => 'gatefeed_keywords',      type => 't', default => 'sec-high, sec-critical'},
    {name => 'gatefeed_approval_flag', type => 't', default => 'sec-approval'},
    {name => 'gatefeed_uplift_flags',  type => 't', default => 'approval-*'},
  );
}

1;
