# This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not
# distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.

package Bugzilla::Extension::GateFeed;

use 5.14.0;
use strict;
use warnings;

use constant NAME             => 'GateFeed';
use constant REQUIRED_MODULES => [];
use constant OPTIONAL_MODULES => [];

__PACKAGE__->NAME;
